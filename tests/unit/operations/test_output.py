"""Values are printed as data: no text acts as markup, an emoji code or a terminal control, and none is lost."""

import json
import sys
import unicodedata
from datetime import date
from decimal import Decimal

import click
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ingestion import log
from operations.output import escaped, say, show, show_one, tell

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
    for count in (1, 2):
        show([{name: value, f"{name}s": [value, value], "n": 1}] * count, as_json=False, title=title)
        said = capsys.readouterr().out
        assert is_plain(said)
        # a title and a name may have several lines
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


WORDS = st.text(st.sampled_from("abcxyz-0123456789"), min_size=1, max_size=30)
# Values that a person must be able to read and to type again: never cut, whatever the width.
WHOLE = (
    st.integers(-(10**15), 10**15)
    | st.decimals(-(10**9), 10**9, places=4, allow_nan=False)
    | st.dates()
    | st.datetimes()
    | WORDS
)
WIDTHS = (60, 80, 120, 200)
NAMES = st.lists(
    st.lists(st.sampled_from(["order", "date", "refunded", "amount", "usd"]), min_size=1, max_size=3).map("_".join),
    min_size=1,
    max_size=8,
    unique=True,
)


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, object]]:
    names = draw(NAMES)
    kinds = [draw(st.sampled_from([st.integers(0, 10**12), st.dates(), WORDS, WHOLE])) for _ in names]
    rows = draw(st.integers(2, 4))
    return [{name: draw(kind) for name, kind in zip(names, kinds, strict=True)} for _ in range(rows)]


def as_shown(value: object, column: list[object]) -> str:
    """Return how a value is printed, computed independently: with separators, and two decimals or all four."""
    if isinstance(value, Decimal):
        amounts = [one for one in column if isinstance(one, Decimal)]
        return f"{value:,.2f}" if all((one * 100) % 1 == 0 for one in amounts) else f"{value:,.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("width", WIDTHS)
@given(rows=tables())
def test_a_table_fits_and_folds_no_number_id_or_date(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, width: int, rows: list[dict]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    show(rows, as_json=False, title="a title")
    said = capsys.readouterr().out
    note = next((line for line in said.splitlines() if line.startswith("Columns that do not fit: ")), "")
    left_out = note.removeprefix("Columns that do not fit: ").split(". ")[0].split(", ") if note else []
    table = [line for line in said.splitlines() if line != note]
    assert all(len(line) <= width for line in table)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    for row in rows:
        expected = [as_shown(value, columns[name]) for name, value in row.items() if name not in left_out]
        assert any(line.split() == [word for one in expected for word in one.split()] for line in table), expected
    shown = [name for name in rows[0] if name not in left_out]
    head = table[table.index("a title") + 1 : next(n for n, line in enumerate(table) if set(line) == {"─"})]
    parts = [part for line in head for part in line.split()]
    assert shown and sorted("".join(parts)) == sorted("".join(shown))
    assert all(part.endswith("_") or any(name.endswith(part) for name in shown) for part in parts)


def test_a_pipe_has_no_width(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    rows = [{f"column_{n}": "some words " * 20 for n in range(9)} for _ in range(3)]
    show(rows, as_json=False)
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(rows)


def test_a_header_is_folded_at_its_underscores(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "21")
    show([{"order_date": date(2026, 11, 1), "refunded_amount": n} for n in (1, 2)], as_json=False)
    assert capsys.readouterr().out.splitlines()[:2] == ["            refunded_", "order_date     amount"]


def test_numbers_stand_right_and_money_has_its_decimals(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    amounts = [Decimal("142958.1000"), Decimal("-5.0000"), None]
    show(
        [{"net_amount": amount, "rate": Decimal("1.0625"), "orders": 1_234_567, "is_late": True} for amount in amounts],
        as_json=False,
    )
    assert capsys.readouterr().out.splitlines() == [
        "net_amount    rate     orders  is_late",
        "──────────────────────────────────────",
        "142,958.10  1.0625  1,234,567  true",
        "     -5.00  1.0625  1,234,567  true",
        "            1.0625  1,234,567  true",
    ]


def test_one_row_is_shown_as_field_and_value(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    show([{"order_id": "o-20261101-000007", "amount": Decimal("3.5"), "note": "word " * 12}], as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "order_id  o-20261101-000007",
        "amount    3.50",
        "note      word word word word word word",
        "          word word word word word word",
    ]


def test_a_command_with_json_is_named_where_columns_are_left_out(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    rows = [{f"column_{n}": "x" * 20 for n in range(9)}] * 2
    with click.Context(click.Command("list", params=[click.Option(["--json"])])):
        show(rows, as_json=False)
    assert capsys.readouterr().out.endswith("column_8. --json shows all of them\n")
    show(rows, as_json=False)
    assert capsys.readouterr().out.endswith("column_8. A wider window shows them\n")


def test_one_thing_is_an_object_and_many_are_a_list(capsys: pytest.CaptureFixture) -> None:
    show_one({"a": 1}, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"a": 1}
    for rows in ([], [{"a": 1}], [{"a": 1}, {"a": 2}]):
        show(rows, as_json=True)
        assert json.loads(capsys.readouterr().out) == rows


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


def test_progress_is_an_event_where_logs_are_structured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEARWELL_LOG", "json")
    log.set_up()
    with log.bound(run_id="r"):
        for line in ("models 1 of 2", "models 2 of 2", "error: \x1b[31mwrong"):
            say(line)
    log.tear_down()
    found = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(one["level"], one["event"], one["run_id"]) for one in found] == [
        ("info", "models 2 of 2", "r"),
        ("error", "\x1b[31mwrong", "r"),
    ]
