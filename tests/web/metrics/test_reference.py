from collections.abc import Callable

import pytest

from drink_web.metrics.reference import Sections, notify_reference, reference
from drink_web.metrics.specs import NOTIFY_SECTIONS, SECTIONS


@pytest.mark.parametrize(
    ("written", "sections"), [(reference, SECTIONS), (notify_reference, NOTIFY_SECTIONS)]
)
def test_each_metric_is_described_once_with_its_labels(
    written: Callable[[], str], sections: Sections
) -> None:
    text = written()
    for _, section in sections:
        for spec in section:
            (line,) = (line for line in text.splitlines() if line.startswith(f"| `{spec.name}` |"))
            assert spec.help in line
            assert all(f"`{label}`" in line for label in spec.labels)
