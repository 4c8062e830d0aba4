"""The events of a Linux input device that types, as a reader's were recorded."""

from drink_agent.reader.codec import INPUT_EVENT

_CODES = dict(zip("1234567890-", range(2, 13), strict=True))
for _first, _row in ((16, "qwertyuiop"), (30, "asdfghjkl"), (44, "zxcvbnm")):
    _CODES |= {letter: _first + at for at, letter in enumerate(_row)}
_CODES |= {"\n": 28, ".": 52, " ": 57, ":": 39, "_": 12}
_SHIFT, _SYNC, _SCAN = 42, (0, 0, 0), (4, 4, 458_756)


def typed(text: str) -> bytes:
    """The events of a text: each key with its scan code, down, up, and what ends a report."""
    events = []
    for sign in text:
        shifted, code = sign.isupper() or sign in ":_", _CODES[sign.lower()]
        keys = [(_SHIFT, 1)] if shifted else []
        keys += [(code, 1), (code, 2), (code, 0)]
        keys += [(_SHIFT, 0)] if shifted else []
        for key, value in keys:
            events += [_SCAN, (1, key, value), _SYNC]
    return b"".join(INPUT_EVENT.pack(1_700_000_000, 42, *event) for event in events)
