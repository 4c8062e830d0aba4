"""The tables of faults and invariants name what there is, and fail for what there is not."""

from pathlib import Path

import pytest

from scripts import proof_tables
from scripts.proof_tables import Numbers, Proofs, claims, collect, filled, problems

NUMBERS = Numbers({"All": {1: "Lost.", 24: "Killed."}}, {8: "Proof.", 9: "Cans."}, {})


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def test_fault_7_half_a_line(): ...", [("fault", 7)]),
        ("async def test_fault_07_half_a_line(): ...", [("fault", 7)]),
        ("def test_fault_24_25_both_die(): ...", [("fault", 24), ("fault", 25)]),
        ("class TestX:\n def test_fault_3_twice(self): ...", [("fault", 3)]),
        ("def test_invariant_23_all_end(): ...", [("invariant", 23)]),
        ('def test_x():\n """Invariant 8: proof."""', [("invariant", 8)]),
        ('def x():\n """Holds invariants 2, 3 and\n 10 there."""',
         [("invariant", 2), ("invariant", 3), ("invariant", 10)]),
        ('class X:\n """Invariants 2, 3 and more."""', [("invariant", 2), ("invariant", 3)]),
        ('def x():\n """Invariants 2 to 4 and 9."""',
         [("invariant", 2), ("invariant", 3), ("invariant", 4), ("invariant", 9)]),
        ("def test_faults_and_more(): ...", []),
        ("def fault_7_helper(): ...", []),
        ('def x():\n "Nothing."\n # Invariant 9', []),
    ],
)  # fmt: skip
def test_claims(source: str, found: list[tuple[str, int]]) -> None:
    assert list(claims(source)) == found


def proofs(faults: list[int], invariants: list[int]) -> Proofs:
    made = Proofs()
    for number in faults:
        made.add("fault", number, "a/test_b.py")
    for number in invariants:
        made.add("invariant", number, "checker.py")
    return made


def test_a_number_without_a_test_is_a_problem() -> None:
    assert list(problems(NUMBERS, proofs([1, 24], [8, 9]))) == []
    assert list(problems(NUMBERS, proofs([1], [9]))) == [
        "fault 24 has no test",
        "invariant 8 has no test",
    ]


def test_a_test_without_a_number_that_there_is_is_a_problem() -> None:
    assert list(problems(NUMBERS, proofs([1, 24, 57], [8, 9, 26]))) == [
        "there is no fault 57, which is claimed in a/test_b.py",
        "there is no invariant 26, which is claimed in checker.py",
    ]


def test_what_is_open_is_said_with_the_suite_that_will_hold_it() -> None:
    numbers = Numbers(NUMBERS.groups, NUMBERS.invariants, {24: "a power cut: tests/rig"})
    table = proof_tables.fault_table(numbers, proofs([24, 24], []))
    row = "| 24 | Killed. | [a/b](../tests/a/test_b.py) 2<br>open: a power cut: tests/rig |"
    assert row in table
    missing = Numbers(NUMBERS.groups, NUMBERS.invariants, {57: "x"})
    assert "fault 57 is listed as open, and there is none" in list(
        problems(missing, proofs([1, 24], [8, 9]))
    )


def test_a_table_goes_between_its_markers() -> None:
    page = "a\n<!-- faults: generated -->\nold\n<!-- faults: end -->\nb\n"
    new = filled(page, "faults", "new")
    assert new == "a\n<!-- faults: generated -->\n\nnew\n\n<!-- faults: end -->\nb\n"
    assert filled(new, "faults", "new") == new
    with pytest.raises(ValueError, match="no place for invariants"):
        filled(page, "invariants", "new")


def test_every_fault_and_invariant_has_its_test() -> None:
    numbers = proof_tables.read_numbers(proof_tables.NUMBERS.read_text())
    assert numbers.faults == set(range(1, 73))
    assert set(numbers.invariants) == set(range(1, 30))
    assert list(problems(numbers, collect(Path(proof_tables.TESTS)))) == []
