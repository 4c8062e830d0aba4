from pathlib import Path

import pytest

from tests.support.console_page import Reader

PAGE = """\
<!-- file: eve notes -->
```text
one
two
```

```console
eve$ cat notes | head -n 1
one
eve$ echo "at 2026-01-02 03:04:05 01KBD7QT6X0V5Y1R2M3N4P5Q6R"
at 1999-12-31 00:00:00 01KBD7QT6X0V5Y1R2M3N4P5Q6T
eve$ echo 01KBD7QT6X0V5Y1R2M3N4P5Q6T > id; cat id notes
01KBD7QT6X0V5Y1R2M3N4P5Q6R
...
two
eve$ exit 3
eve$ echo $?
3
```
"""


def _read(page: str, folder: Path) -> Reader:
    reader = Reader(folder, {"PATH": "/usr/bin:/bin"}, {}, {}, lambda *_: None)
    reader.read(page)
    return reader


def test_a_page_that_is_right_is_read_to_its_end(tmp_path: Path) -> None:
    assert len(_read(PAGE, tmp_path).printed) == 4


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("1\none\n", "1\ntwo\n"),
        ("1\none\n", "1\n"),
        ("1\none\n", "1\none\ntwo\n"),
        ("\n3\n", "\n4\n"),
        ("eve$ exit 3\neve$ echo $?\n3\n", "eve$ exit 3\n"),
        ("at 1999-12-31 00:00:00", "at midnight"),
        ("01KBD7QT6X0V5Y1R2M3N4P5Q6R\n...", "01KBD7QT6X0V5Y1R2M3N4P5Q6B\n..."),
        ("...\ntwo", "...\nthree"),
    ],
)
def test_what_is_wrong_on_a_page_is_found(tmp_path: Path, right: str, wrong: str) -> None:
    assert right in PAGE
    with pytest.raises(AssertionError, match="line"):
        _read(PAGE.replace(right, wrong, 1), tmp_path)
