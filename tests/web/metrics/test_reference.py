from drink_web.metrics.reference import reference
from drink_web.metrics.specs import SECTIONS


def test_each_metric_is_described_once_with_its_labels() -> None:
    text = reference()
    for _, section in SECTIONS:
        for spec in section:
            (line,) = (line for line in text.splitlines() if line.startswith(f"| `{spec.name}` |"))
            assert spec.help in line
            assert all(f"`{label}`" in line for label in spec.labels)
