"""The table of all methods in docs/api.md names each method, and follows from the protos."""

from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from scripts import api_table
from scripts.api_table import Method, first_sentence, methods, row
from scripts.gen_protos import described


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> FileDescriptorSet:
    image = tmp_path_factory.mktemp("protos") / "image.binpb"
    return FileDescriptorSet.FromString(described(image))


def test_the_page_has_a_row_for_each_method_of_the_protos(files: FileDescriptorSet) -> None:
    rows = api_table.PAGE.read_text().splitlines()
    named = [
        (service.name, method.name)
        for file in files.file
        if file.package == api_table.PACKAGE
        for service in file.service
        for method in service.method
    ]
    assert len(named) > 30
    for service, name in named:
        assert sum(line.startswith(f"| {service} | {name} | ") for line in rows) == 1, name


def test_a_page_without_one_of_the_methods_is_out_of_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "api.md"
    page.write_text("<!-- methods: generated -->\n<!-- methods: end -->\n")
    monkeypatch.setattr(api_table, "PAGE", page)
    monkeypatch.setattr("sys.argv", ["api_table"])
    assert api_table.main() == 0
    monkeypatch.setattr("sys.argv", ["api_table", "--check"])
    assert api_table.main() == 0
    kept = [line for line in page.read_text().splitlines() if "| CancelDrop |" not in line]
    page.write_text("\n".join(kept))
    assert api_table.main() == 1
    assert "run `make docs`" in capsys.readouterr().err


def test_comments_say_who_may_call_and_which_request_id_is_required(
    files: FileDescriptorSet,
) -> None:
    found = {f"{method.service}.{method.name}": method for method in methods(files)}
    assert not found["DropService.Drop"].administrators_only
    assert found["DropService.ResolveDrop"].administrators_only
    # The service says so for all its methods.
    assert found["AlarmService.CloseAlarm"].administrators_only
    assert row(found["DropService.Drop"]) == (
        "| DropService | Drop | Buys what is in a slot. | users | drop only | required |"
    )
    assert row(found["DropService.GetDrop"]).endswith("| instead of a name |")
    assert row(found["MachineService.GetMachine"]).endswith("| anyone | any | |")


@pytest.mark.parametrize(
    ("comment", "sentence"),
    [
        ("Buys it. Then more.", "Buys it."),
        ("All of drink.v1 at once.", "All of drink.v1 at once."),
        ("This | that.", "This \\| that."),
    ],
)
def test_the_first_sentence_of_a_comment(comment: str, sentence: str) -> None:
    assert first_sentence(comment, "X.Y") == sentence


def test_a_method_without_a_comment_is_refused() -> None:
    file = FileDescriptorProto(name="x.proto", package=api_table.PACKAGE)
    file.service.add(name="XService").method.add(name="Y")
    with pytest.raises(ValueError, match=r"XService\.Y needs a comment"):
        list(methods(FileDescriptorSet(file=[file])))


def test_a_method_cannot_be_for_administrators_and_open() -> None:
    method = Method("AccountService", "Login", "Logs in.", True, None)
    with pytest.raises(ValueError, match="open in the code"):
        row(method)
