"""What is shown of any text: nothing that acts, turns or hides."""

import json
import unicodedata

import pytest

from diffrec_cli.visible import visible, visible_json

#: What acts on a terminal, or on the eye, by its name.
ACTING = {
    "CSI": "\x1b[31m",
    "OSC 0, the title": "\x1b]0;title\x07",
    "OSC 8, a link": "\x1b]8;;http://example.org\x1b\\",
    "OSC 52, the clipboard": "\x1b]52;c;aGk=\x07",
    "DCS": "\x1bP1$r\x1b\\",
    "C1's CSI": "\x9b31m",
    "a carriage return": "a\rb",
    "a line end": "a\nb",
    "NEL": "a\x85b",
    "DEL": "\x7f",
    "right to left": "\u202etxt.exe",
    "an isolate": "\u2066a\u2069",
    "the Arabic mark": "\u061c",
    "zero width": "a\u200bb\u2060c\ufeffd",
    "a joiner": "\u200d",
    "a soft hyphen": "a\xadb",
    "a line separator": "a\u2028b\u2029c",
    "a filler": "\u3164\uffa0",
    "a variation selector": "a\ufe0f\U000e0100",
    "a tag": "\U000e0041",
    "a byte that is no text": "\udce9",
}


@pytest.mark.parametrize("text", ACTING.values(), ids=ACTING)
def test_what_acts_or_hides_is_escaped_as_python_writes_it(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    for character in text:
        if not character.isprintable():
            assert character.encode("unicode_escape").decode() in shown


@pytest.mark.parametrize(
    "text",
    ["plain", "été", "e\u0301", "日本語", "한국어", "עברית", "a\xa0b\u3000c", "🦊", "C:\\new"],
)
def test_what_is_only_seen_stays(text: str) -> None:
    assert visible(text) == text


def test_no_control_format_or_surrogate_passes_but_arabic_signs_that_have_a_shape() -> None:
    passing = [
        code
        for code in range(0x110000)
        if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        and visible(chr(code)) == chr(code)
    ]
    names = {unicodedata.name(chr(code)).split()[0] for code in passing}
    assert names <= {"ARABIC", "SYRIAC", "KAITHI", "EGYPTIAN"}


def test_what_an_encoding_lacks_is_escaped() -> None:
    assert visible("é日", "ascii") == r"\xe9\u65e5"
    assert visible("é日", "latin-1") == r"é\u65e5"


@pytest.mark.parametrize("encoding", [None, "utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize("text", [*ACTING.values(), "日本🦊"])
def test_json_is_the_same_document_and_shows_nothing_that_acts(
    text: str, encoding: str | None
) -> None:
    shown = visible_json({text: [text]}, encoding)
    assert json.loads(shown) == {text: [text]}
    assert shown.isprintable()
    shown.encode(encoding or "utf-8")


def test_json_keeps_its_own_lines() -> None:
    assert visible_json({"a": 1}, indent=2) == '{\n  "a": 1\n}'
