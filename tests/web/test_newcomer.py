"""The way of somebody who has never seen it: `make run`, a browser, a can."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from benchmarks.systems import ROOT
from tests.web.browser import context_of, needs_browser
from tests.web.people import reaches

pytestmark = [needs_browser, pytest.mark.slow]

START_LIMIT_S = 120
"""Seconds until it says where the page is, also on a busy computer."""


def printed(process: "subprocess.Popen[str]") -> tuple[str, str, str]:
    """Name, password and address of the page, as a newcomer reads them."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        told = re.search(r"as (\S+) with the password (\S+):\s+(http://\S+)\s", said)
        if told:
            return told[1], told[2], told[3]
    raise AssertionError(f"it ended and said: {said}")


def test_what_is_printed_is_enough_for_a_can(browser: Browser, tmp_path: Path) -> None:
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.demo", "run"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        name, password, origin = printed(process)
        started = time.monotonic()
        with context_of(browser, origin) as context:
            page = context.new_page()
            page.goto(origin)
            # Whatever is offered first leads there, without reading.
            page.locator(".tile .button").first.click()
            page.fill("[name=user]", name)
            page.fill("[name=password]", password)
            page.click("main button")
            page.locator(".tile button:not(.icon-button)").first.click()
            reaches(page, "dispensed")
            expect(page.locator("#drop-state")).to_contain_text("Enjoy!")
        fell = time.monotonic()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=START_LIMIT_S)
    print(f"up after {started - began:.1f} s, the can fell after {fell - began:.1f} s")
    assert process.returncode == 0
