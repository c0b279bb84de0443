"""Each malformed line or file is a dead letter with the right reason, has the right value in silver, or is left waiting."""

import gzip
import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path

import duckdb
import pytest
import zstandard

from ingestion import sources
from ingestion.home import Home
from ingestion.window import Window
from operations import heal, ledger
from warehouse.build import Request, build

NOW = datetime(2026, 11, 3, tzinfo=UTC)
HOUR = Window.parse("2026-11-01T10:00", "2026-11-01T11:00")
TEN = datetime(2026, 11, 1, 10)
number = count(1)


def event(**fields: object) -> dict[str, object]:
    return {
        "event_id": f"e{next(number)}",
        "event_type": "click",
        "event_time": "2026-11-01T10:00:00Z",
        "visitor_id": "v",
    } | fields


def text(**fields: object) -> bytes:
    return json.dumps(event(**fields), ensure_ascii=False).encode()


def with_end(end: str) -> bytes:
    """Return an event that ends in text which no JSON library would write."""
    return json.dumps(event())[:-1].encode() + end.encode() + b"}"


def without(name: str, end: str) -> bytes:
    return json.dumps({key: value for key, value in event().items() if key != name})[:-1].encode() + end.encode() + b"}"


# Name: the line, and either the reasons it is refused for or its values in silver.
LINES: dict[str, tuple[bytes, list[str] | dict[str, object]]] = {
    "nearly a megabyte": (text(url="x" * 999_000), {"url": "x" * 999_000}),
    "eight megabytes": (text(url="y" * 8_000_000), ["too_long"]),
    "NUL between": (text()[:-1] + b"\x00}", ["broken_json"]),
    "NUL in a text": (text(url="AB").replace(b"AB", b"A\x00B"), ["broken_json"]),
    "escaped NUL": (json.dumps(event(url="A\x00B")).encode(), {"url": "A\x00B"}),
    "3,000 deep": (with_end(',"properties":' + '{"a":' * 3000 + "1" + "}" * 3000), {}),
    "100,000 deep": (with_end(',"properties":{"a":' + "[" * 100_000 + "]" * 100_000 + "}"), {}),
    "a key twice": (with_end(',"event_type":"purchase"'), ["duplicate_key"]),
    "an id twice": (with_end(',"event_id":"other"'), ["duplicate_key"]),
    "an unknown key twice": (with_end(',"zzz":1,"zzz":2'), ["duplicate_key"]),
    "an unknown key": (with_end(',"zzz":1'), {}),
    "a key in capitals": (with_end(',"Event_Type":"purchase"'), {"event_type": "click"}),
    "an escaped key": (without("event_type", ',"event\\u005ftype":"search"'), {"event_type": "search"}),
    "20 digits": (with_end(',"quantity":12345678901234567890'), ["not_parsed:quantity"]),
    "a fraction": (with_end(',"quantity":2.0'), ["wrong_type:quantity"]),
    "an exponent": (with_end(',"quantity":1e3'), ["wrong_type:quantity"]),
    "quantity 0": (text(quantity=0), ["out_of_range:quantity"]),
    "18 digits as text": (text(unit_price="12345678901234.5678"), {"unit_price": Decimal("12345678901234.5678")}),
    "27 digits as text": (text(unit_price="1234567890123456789012345.12"), ["not_parsed:unit_price"]),
    "a price as number": (with_end(',"unit_price":19.99'), {"unit_price": Decimal("19.99")}),
    "a price as object": (with_end(',"unit_price":{"a":1}'), ["wrong_type:unit_price"]),
    "a long price as number": (
        with_end(',"unit_price":0.1234567890123456789'),
        ["too_many_decimals:unit_price", "too_many_digits:unit_price"],
    ),
    "a long fraction in properties": (
        with_end(',"properties":{"a":1.00000000000000000001}'),
        {"properties": '{"a":1.00000000000000000001}'},
    ),
    "a long integer in properties": (
        with_end(',"properties":{"a":12345678901234567890123}'),
        {"properties": '{"a":12345678901234567890123}'},
    ),
    "long digits in a text": (text(url="/1.00000000000000000001"), {"url": "/1.00000000000000000001"}),
    "five decimals": (text(unit_price="1.00001"), ["too_many_decimals:unit_price"]),
    "a decimal comma": (text(unit_price="12,34"), ["not_parsed:unit_price"]),
    "other digits": (text(unit_price="١٢"), ["not_parsed:unit_price"]),
    "a hard space": (text(unit_price="12.34\u00a0"), ["not_parsed:unit_price"]),
    "NaN as text": (text(unit_price="NaN"), ["not_a_number:unit_price"]),
    "minus zero": (text(unit_price="-0"), {"unit_price": Decimal(0)}),
    "latin-1": (text(search_query="caf!").replace(b"!", b"\xe9"), ["invalid_utf8"]),
    "UTF-16": (json.dumps(event()).encode("utf-16-le").replace(b"\n", b""), ["broken_json"]),
    "a lone surrogate": (with_end(',"url":"\\ud800"'), ["broken_json"]),
    "a surrogate in bytes": (text(url="AB").replace(b"AB", b"\xed\xa0\x80"), ["invalid_utf8"]),
    "an overlong byte": (text(url="AB").replace(b"AB", b"\xc0\x80"), ["invalid_utf8"]),
    "a line separator": (text(url="a\u2028b"), {"url": "a\u2028b"}),
    "+05:30": (text(event_time="2026-11-01T15:30:00+05:30"), {"event_time": TEN}),
    "-1130": (text(event_time="2026-10-31T22:30:00-1130"), {"event_time": TEN}),
    "+14:00": (text(event_time="2026-11-02T00:00:00+14:00"), {"event_time": TEN}),
    "+99:00": (text(event_time="2026-11-01T10:00:00+99:00"), ["not_parsed:event_time"]),
    "a zone by name": (text(event_time="2026-11-01T10:00:00 Europe/Berlin"), ["not_parsed:event_time"]),
    "no zone": (text(event_time="2026-11-01T10:00:00"), {"event_time": TEN}),
    "30 February": (text(event_time="2026-02-30T10:00:00Z"), ["not_parsed:event_time"]),
    "seconds since 1970": (without("event_time", ',"event_time":1793527200'), ["wrong_type:event_time"]),
    "the future": (text(event_time="2036-11-01T10:00:00Z"), ["in_future:event_time"]),
    "year 1": (text(event_time="0001-01-01T00:00:00Z"), {"event_date": date(1, 1, 1)}),
    "NaN": (with_end(',"quantity":NaN'), ["broken_json"]),
    "infinity in properties": (with_end(',"properties":{"a":-Infinity}'), ["broken_json"]),
    "a last comma": (with_end(","), ["broken_json"]),
    "a last comma in properties": (with_end(',"properties":{"a":[1, ]}'), ["broken_json"]),
    "a comma and a brace in a text": (text(url=",} ,] :NaN \\"), {"url": ",} ,] :NaN \\"}),
    "single quotes": (str(event()).encode(), ["broken_json"]),
    "a comment": (with_end("/* x */"), ["broken_json"]),
    "two on a line": (text() + b" " + text(), ["broken_json"]),
    "a carriage return between": (text() + b"\r" + text(), ["broken_json"]),
    "a carriage return at the end": (text() + b"\r", {}),
    "an array": (b"[" + text() + b"]", ["not_an_object"]),
    "a number": (b"42", ["not_an_object"]),
    "null": (b"null", ["not_an_object"]),
    "nothing": (b"", ["broken_json"]),
    "an empty id": (text(event_id=""), ["missing:event_id"]),
    "a null id": (text(event_id=None), ["missing:event_id"]),
    "an id as number": (without("event_id", ',"event_id":7'), ["wrong_type:event_id"]),
    "properties as array": (text(properties=[1]), ["wrong_type:properties"]),
    "an unknown type": (text(event_type="hover"), ["not_allowed:event_type"]),
    "all at once": (
        text(event_id="", event_type="hover", event_time="soon", unit_price="1,5"),
        ["missing:event_id", "not_allowed:event_type", "not_parsed:event_time", "not_parsed:unit_price"],
    ),
}
PLAIN = 4000


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    root = tmp_path_factory.mktemp("ugly")
    home = Home(root, root / "landing")
    folder = home.landing / "2026-11-01" / "10"
    folder.mkdir(parents=True)
    (folder / "ugly.jsonl").write_bytes(b"".join(line + b"\n" for line, _ in LINES.values()))
    # an hour with nothing but bad lines would be held
    (folder / "plain.jsonl").write_bytes(b"".join(text(event_id=f"plain {n}") + b"\n" for n in range(PLAIN)))
    whole = b"".join(text() + b"\n" for _ in range(500))
    (folder / "cut.jsonl.gz").write_bytes(gzip.compress(whole)[:-100])
    (folder / "cut.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(whole)[:-10])
    (folder / "no-end.jsonl").write_bytes(text(event_id="no newline at its end"))
    for path in folder.iterdir():
        os.utime(path, (TEN.timestamp(), TEN.timestamp()))
    landing = sources.ingest("clickstream", HOUR, home, NOW)
    assert sorted(Path(file.path).name for file in landing.waiting) == ["cut.jsonl.gz", "cut.jsonl.zst"]
    build(home, Request(), NOW)
    yield home


def ask(home: Home, question: str) -> list[tuple]:
    with duckdb.connect(str(home.state), read_only=True) as state:
        return state.sql(question).fetchall()


def test_every_line_is_accounted_for(built: Home) -> None:
    assert ledger.recount(built) == ([], True)
    fates = dict(ask(built, "select fate, sum(records) from ops.ledger group by fate"))
    refused = sum(isinstance(expected, list) for _, expected in LINES.values())
    assert fates == {"current": len(LINES) - refused + 1 + PLAIN, "dead_letter": refused}


def test_money_that_cannot_be_read_is_on_a_line_of_its_own(built: Home) -> None:
    unread = [
        name for name, (_, expected) in LINES.items() if isinstance(expected, list) and "unit_price" in str(expected)
    ]
    rows = ask(
        built,
        "select fate, is_amount_read, sum(records), sum(amount) from ops.ledger where is_amount_read = false group by all",
    )
    # a price without a quantity is money that cannot be computed either
    readable = ask(built, "select count(*) from silver.clickstream where unit_price is not null")
    assert {fate: (records, amount) for fate, _, records, amount in rows} == {
        "dead_letter": (len(unread), None),
        "current": (readable[0][0], None),
    }


def test_what_is_refused_says_why(built: Home) -> None:
    found = dict(
        ask(built, "select source_line, reasons from silver.dead_letters where source_file like '%ugly.jsonl'")
    )
    names = dict(enumerate(LINES, 1))
    told = {names[line]: sorted(reasons) for line, reasons in found.items()}
    assert told == {name: expected for name, (_, expected) in LINES.items() if isinstance(expected, list)}


def test_what_is_not_has_the_right_value(built: Home) -> None:
    with duckdb.connect(str(built.state), read_only=True) as state:
        cursor = state.sql("select * from silver.clickstream")
        rows = {
            row["event_id"]: row for row in (dict(zip(cursor.columns, one, strict=True)) for one in cursor.fetchall())
        }
    for name, (line, expected) in LINES.items():
        if isinstance(expected, dict):
            row = rows[re.search(rb'"event_id": "([^"]*)"', line)[1].decode()]
            assert {field: row[field] for field in expected} == expected, name
    assert "no newline at its end" in rows


def test_files_that_wait_hold_the_watermark_and_are_named(built: Home) -> None:
    assert ask(built, "select short_windows from ops.completeness") == [(1,)]
    waiting = ask(built, "select unnest(waiting) from ops.batches order by 1")
    assert [Path(name).name for (name,) in waiting] == ["cut.jsonl.gz", "cut.jsonl.zst"]


def test_heal_finds_the_missing_and_the_short_windows_and_mends_both_by_one_ingest(built: Home) -> None:
    twelve, eleven = (built.landing / "2026-11-01" / hour for hour in ("12", "11"))
    twelve.mkdir()
    put(twelve / "a.jsonl", text() + b"\n")
    sources.ingest("clickstream", Window.parse("2026-11-01T12:00", "2026-11-01T13:00"), built, NOW)
    build(built, Request(), NOW.replace(hour=1))
    assert ask(built, "select holes, short_windows from ops.completeness") == [(0, 1)]
    eleven.mkdir()
    put(eleven / "a.jsonl", text() + b"\n")
    found = heal.needed(built)
    assert [(one.window, one.why) for one in found] == [
        (Window.parse("2026-11-01T10:00", "2026-11-01T12:00"), "missing and short")
    ]
    assert heal.heal(built, found, NOW.replace(hour=2), lambda line: None), "the files are still broken"
    ten = built.landing / "2026-11-01" / "10"
    put(ten / "cut.jsonl.gz", gzip.compress(text() + b"\n"))
    (ten / "cut.jsonl.zst").unlink()
    assert heal.heal(built, heal.needed(built), NOW.replace(hour=3), lambda line: None) == []
    assert heal.needed(built) == []
    build(built, Request(), NOW.replace(hour=4))
    assert ask(built, "select holes, short_windows, complete_until from ops.completeness") == [
        (0, 0, datetime(2026, 11, 1, 13))
    ]
    # the contract allows two days: this one was in time; the next is not, but is still taken in
    assert ask(built, "select distinct is_late from ops.restatements") == [(False,)]
    put(eleven / "late.jsonl", text() + b"\n")
    sources.ingest("clickstream", Window.parse("2026-11-01T11:00", "2026-11-01T12:00"), built, NOW.replace(day=5))
    verdict = build(built, Request(), NOW.replace(day=5)).verdict
    assert verdict
    late = next(one for one in verdict.warnings if one.check_name.startswith("late_restatements"))
    moved = {(row["gold_table"], row["measure"]): float(row["moved"]) for row in json.loads(late.examples)}
    assert moved["daily_traffic", "events"] == 1


def put(path: Path, body: bytes) -> None:
    path.write_bytes(body)
    os.utime(path, (TEN.timestamp(), TEN.timestamp()))
