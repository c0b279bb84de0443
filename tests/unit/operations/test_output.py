"""Values are data for the terminal too: no text is markup, an emoji or an order to the terminal, and none is lost."""

import json
import sys
import unicodedata
from datetime import date

import click
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from operations.output import escaped, say, show, tell

ODD = [
    "[/b]",
    "[bold]",
    "[link=x]",
    ":x:",
    ":smile:",
    "\x1b[31m",
    "\x1b]0;title\x07",
    "\x9b2J",
    "\u202eabc",
    "\ud800",
    "\r",
    "\t",
    "\0",
    "\u2028",
    "\x7f",
]
TEXTS = st.text(st.characters(), max_size=20) | st.lists(st.sampled_from(ODD), max_size=3).map("".join)


def seen(text: str) -> str:
    return "".join(text.split())


def is_plain(text: str) -> bool:
    return all(one == "\n" or unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for one in text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=TEXTS, value=TEXTS, title=TEXTS)
@example("[/b]", "[/b]", "[/b]")
@example("a", ":x: \x1b[2J", ":x:")
@example("", "", "\n")
def test_a_table_shows_every_text_as_it_is(capsys: pytest.CaptureFixture, name: str, value: str, title: str) -> None:
    show([{name: value, f"{name}s": [value, value], "n": 1}], as_json=False, title=title)
    said = capsys.readouterr().out
    assert is_plain(said)
    # a title and a name may be of several lines
    for shown in (escaped(value), escaped(name, keep="\n"), escaped(title, keep="\n")):
        assert seen(shown) in seen(said)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS)
def test_a_line_shows_every_text_as_it_is(capsys: pytest.CaptureFixture, text: str) -> None:
    for print_line in (tell, say):
        print_line(f"the value is {text}")
    said = capsys.readouterr()
    assert is_plain(said.out) and is_plain(said.err) and said.out == said.err
    assert seen(escaped(text, keep="\n")) in seen(said.out)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS)
def test_json_gives_back_every_text(capsys: pytest.CaptureFixture, text: str) -> None:
    show([{"a": text, text: [text]}], as_json=True)
    assert json.loads(capsys.readouterr().out) == [{"a": text} | {text: [text]}]


def test_json_holds_what_sql_may_give(capsys: pytest.CaptureFixture) -> None:
    show(
        [{"map": {date(2026, 1, 1): 1, (1,): 2}, "nan": float("nan"), "blob": b"\0", "list": [float("inf")]}],
        as_json=True,
    )
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found == [{"map": {"2026-01-01": 1, "(1,)": 2}, "nan": "nan", "blob": "b'\\x00'", "list": ["inf"]}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a b", "a b"),
        ("é€🙂", "é€🙂"),
        ("\x1b[0m", "\\x1b[0m"),
        ("a\nb", "a\\nb"),
        ("\u202e", "\\u202e"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_a_terminal_acts_on_is_escaped(text: str, said: str) -> None:
    assert escaped(text) == said


@pytest.mark.parametrize(
    ("is_terminal", "printed"),
    [
        (False, "models 3 of 3\naudit\n"),
        (True, "\r\x1b[Kmodels 1 of 3\r\x1b[Kmodels 3 of 3\naudit\n\r\x1b[Kmodels 1 of 3\nerror\n"),
    ],
    ids=["in a pipe", "on a terminal"],
)
def test_a_count_is_one_line(
    is_terminal: bool, printed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["models 1 of 3", "models 3 of 3", "audit", *(["models 1 of 3", "error"] if is_terminal else [])]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    monkeypatch.setattr(click.utils, "should_strip_ansi", lambda *_, **__: False)
    for line in lines:
        say(line)
    assert capsys.readouterr().err == printed
