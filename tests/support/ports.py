"""Ports for servers that come back at the same port."""

import contextlib
import itertools
import os
import random
import socket
from dataclasses import replace

from scripts.plan import Plan

FIRST, END = 16_384, 32_768
"""Linux takes the ports of connections, and of whoever asks for any port, from 32,768 on: a server
that is down for a moment would find its own taken by one of those."""

_SHARE = 1_024
"""Ports that a worker of a test run gives out; the next worker has the next ones."""

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_BEGIN = FIRST + _WORKER * _SHARE % (END - FIRST)
# In any order, since there may be another run on this computer.
_MINE = itertools.cycle(random.sample(range(_BEGIN, _BEGIN + _SHARE), _SHARE))


def free_port() -> int:
    """A port that nobody listens on, and that nobody gets who asks for any port."""
    for port in itertools.islice(_MINE, _SHARE):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


def with_own_ports(plan: Plan) -> Plan:
    """The plan with ports for its frontend and its page, where it has none."""
    return replace(
        plan,
        rpc_port=plan.rpc_port or free_port(),
        session_port=plan.session_port or free_port(),
        metrics_port=plan.metrics_port or free_port(),
        web_metrics_port=plan.web_metrics_port or free_port(),
        web_port=None if plan.web_port is None else plan.web_port or free_port(),
    )
