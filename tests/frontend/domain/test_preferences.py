"""Language tags, by the grammar of RFC 5646 and the examples of its appendix A."""

import pytest

from drink_frontend.domain.errors import FieldInvalidError
from drink_frontend.domain.preferences import LANGUAGE_MAX, check_language


@pytest.mark.parametrize(
    ("given", "usual"),
    [
        ("de", "de"),
        ("DE", "de"),
        ("en-gb", "en-GB"),
        ("de-de", "de-DE"),
        ("it-it", "it-IT"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("sr-Latn-RS", "sr-Latn-RS"),
        ("es-419", "es-419"),
        ("zh-cmn-Hans-CN", "zh-cmn-Hans-CN"),
        ("sl-rozaj-biske", "sl-rozaj-biske"),
        ("de-CH-1901", "de-CH-1901"),
        ("en-US-u-islamcal", "en-US-u-islamcal"),
        ("de-x-goethe", "de-x-goethe"),
        ("en-a-bbb-x-a-ccc", "en-a-bbb-x-a-ccc"),
        ("gsw", "gsw"),
        ("abcd-abcd-ab", "abcd-Abcd-AB"),
    ],
)
def test_tags_are_written_as_usual(given: str, usual: str) -> None:
    assert check_language(given) == usual
    assert check_language(usual) == usual


@pytest.mark.parametrize(
    "tag",
    [
        "",
        "d",
        "deutschland",
        "de_DE",
        "de-",
        "-de",
        "de--DE",
        "de-419-DE",
        "a-DE",
        "ar-a-aaa-b-bbb-a-ccc",
        "de-1901-1901",
        "de-x",
        "en-a",
        "x-private",
        "i-klingon",
        "de\n",
        "de DE",
        "d\u0435",
        "\u017fk",
        "*",
        "en-" + "x-aaaaaaaa-" * 3 + "a",
        "de" + "-" * 60_000,
    ],
)
def test_what_is_no_tag_is_refused(tag: str) -> None:
    with pytest.raises(FieldInvalidError) as error:
        check_language(tag)
    assert error.value.facts == {"field": "language"}


def test_the_longest_tag_is_as_long_as_it_may_be() -> None:
    tag = "en-x-" + "a" * 8 + "-" + "b" * 8 + "-" + "c" * 8 + "-" + "d" * 3
    assert len(tag) == LANGUAGE_MAX
    assert check_language(tag) == tag
    with pytest.raises(FieldInvalidError):
        check_language(tag + "d")
