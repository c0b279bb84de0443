"""Texts that a source writes in its own way: times, numbers, names of values, missing ones, paths in lines, rows without a key."""

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.columns import Column
from ingestion.times import clock_of, joined
from tests.unit.macros.dbt_like import project
from tests.unit.macros.parsing import Row, lines, parsed

ORDER = {"order_id": "o1", "status": "paid", "currency": "EUR", "ordered_at": "2026-11-01T10:00:00Z"}
LINE = {"order_id": "o1", "line_number": "1", "quantity": "1", "unit_price": "1"}


def rows(dataset: str, folder: Path, texts: list[dict[str, str | None]], **columns: dict[str, Any]) -> list[Row]:
    """Parse rows of texts, with some columns' meta changed."""
    names = list(dict.fromkeys(name for row in texts for name in row))
    table = pa.table({name: pa.array([row.get(name) for row in texts], pa.string()) for name in names})
    return parsed(dataset, folder, table, source="orders", columns=columns)


Read = Callable[[list[str], str, dict[str, Any]], list[Any]]


@pytest.fixture(scope="module")
def read() -> Iterator[Read]:
    """Read texts as a contract's column says that they are written, without the rest of a record."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        macros = project(connection)

        def values(texts: list[str], data_type: str, meta: dict[str, Any]) -> list[Any]:
            given = pa.table({"given": pa.array(texts, pa.string()), "place": range(len(texts))})
            connection.register("texts", given)
            meant, typed = macros["meant_text"]("given", meta), macros["typed"]("meant", data_type, meta)
            query = f"select {typed} from (select place, {meant} as meant from texts) order by place"
            return [value for (value,) in connection.execute(query).fetchall()]

        yield values


TIMES = [
    ("%d/%m/%Y %H:%M", "01/12/2010 08:26"),
    ("%d/%m/%Y %H:%M", "1/2/2010 8:05"),
    ("%m/%d/%y %I:%M %p", "12/1/10 8:26 PM"),
    ("%m/%d/%y %I:%M %p", "12/1/69 8:26 am"),
    ("%Y-%m-%d %H:%M:%S UTC", "2019-10-01 00:00:00 UTC"),
    ("%Y-%m-%dT%H:%M:%S.%f%z", "2026-10-25T02:30:00.123+0200"),
    ("%Y-%m-%dT%H:%M:%S.%f%z", "2026-10-25T02:30:00.5-05:30"),
    ("%a %b %d %Y", "Mon Nov 02 2026"),
    ("%d-%b-%y", "1-Dec-10"),
    ("%A, %B %d, %Y", "Monday, November 02, 2026"),
    ("%Y.%m.%d", "2026.11.01"),
    ("%Y%m%d %H%M%S", "20261101 123456"),
    ("%Y%m%d%H%M%S%f", "20261101123456789"),
    ("%m/%d/%Y %H%M", "1/2/2026 0005"),
    ("seconds", "1790000000"),
    ("seconds", "1790000000.25"),
    ("milliseconds", "1790000000123"),
    ("milliseconds", "-1"),
    ("microseconds", "1790000000123456"),
    ("iso", "2026-10-25 01:30:00"),
    ("iso", "2026-10-25 01:30:00+09"),
]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize(("written", "text"), TIMES)
def test_a_time_is_read_as_the_contract_says_it_is_written(tmp_path: Path, written: str, text: str, zone: str):
    (row,) = rows(
        "orders", tmp_path, [ORDER | {"ordered_at": text}], ordered_at={"time_format": written, "timezone": zone}
    )
    if written in ("seconds", "milliseconds", "microseconds"):
        unit = {"seconds": 1, "milliseconds": 1000, "microseconds": 1_000_000}[written]
        expected = datetime.fromtimestamp(int(text.split(".")[0]) // unit, UTC).replace(
            microsecond=int(Decimal(text) * 1_000_000 / unit % 1_000_000) % 1_000_000
        )
    else:
        read = datetime.fromisoformat(text) if written == "iso" else datetime.strptime(text, written)
        expected = (read if read.tzinfo else read.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)
    assert row["reasons"] is None and row["ordered_at"] == expected.replace(tzinfo=None)
    # the window that takes it is decided by the same reading
    assert clock_of(Column("ordered_at", "timestamp", time_formats=(written,), timezone=zone))(text) == expected


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("%d/%m/%Y %H:%M", "01/12/10 08:26"),
        ("%d/%m/%Y", "30/02/2010"),
        ("%d/%m/%Y", " 01/02/2010"),
        ("%d/%m/%Y", "01/02/2010 "),
        ("%d/%m/%Y", "13/13/2010"),
        ("%d.%m.%Y", "01x02x2010"),
        ("%Y-%m-%d", "2026-11-01T10:00:00Z"),
        # where nothing is between two numbers, one with fewer digits could be another one
        ("%Y%m%d %H%M%S", "20261101 12345"),
        ("%Y%m%d", "2026111"),
        ("%d%m%y", "11126"),
        ("%Y%m%d%H%M%S", "2026110112345"),
        ("seconds", "17.9e8"),
        ("seconds", "1e9"),
        ("milliseconds", "99999999999999999999"),
        ("milliseconds", ""),
    ],
)
def test_a_time_of_another_shape_is_refused(tmp_path: Path, written: str, text: str):
    (row,) = rows("orders", tmp_path, [ORDER | {"ordered_at": text}], ordered_at={"time_format": written})
    assert [one.split(":")[1] for one in row["reasons"]] == ["ordered_at"]
    assert clock_of(Column("ordered_at", "timestamp", time_formats=(written,)))(text) is None


def test_several_formats_are_tried_in_order(tmp_path: Path):
    texts = ["2026-11-01T10:00:00Z", "2026-11-01", "01.11.2026"]
    meta = {"time_format": ["iso", "%Y-%m-%d", "%d.%m.%Y"]}
    found = rows("orders", tmp_path, [ORDER | {"ordered_at": text} for text in texts], ordered_at=meta)
    assert [row["ordered_at"].hour for row in found] == [10, 0, 0] and not any(row["reasons"] for row in found)


@pytest.mark.parametrize(
    "text", ["2026-10-25 02:30:00", "2026-03-29 02:30:00", "2026-10-25 01:59:59", "2026-07-01 00:30:00"]
)
def test_a_time_that_a_clock_shows_twice_or_never_is_the_later_one(tmp_path: Path, text: str):
    (row,) = rows("orders", tmp_path, [ORDER | {"ordered_at": text}], ordered_at={"timezone": "Europe/Berlin"})
    both = [
        datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin"), fold=fold).astimezone(UTC)
        for fold in (0, 1)
    ]
    assert row["ordered_at"] == max(both).replace(tzinfo=None)
    assert clock_of(Column("ordered_at", "timestamp", timezone="Europe/Berlin"))(text) == max(both)


@pytest.mark.parametrize(
    ("meta", "text", "price"),
    [
        ({"decimal": ","}, "12,5", "12.5"),
        ({"decimal": ","}, "-0,0001", "-0.0001"),
        ({"decimal": ","}, ",5", "0.5"),
        ({"decimal": ","}, "12", "12"),
        ({"decimal": ",", "thousands": "."}, "1.234.567,89", "1234567.89"),
        ({"decimal": ",", "thousands": "."}, "1234,5", "1234.5"),
        ({"thousands": ","}, "1,234.5", "1234.5"),
        ({"thousands": "'"}, "1'234.50", "1234.5"),
        ({"thousands": "\u00a0", "decimal": ","}, "1\u00a0234,5", "1234.5"),
        ({"thousands": " ", "decimal": ","}, "1 234\u202f567,5", "1234567.5"),
        ({"thousands": "'"}, "1\u2019234", "1234"),
        ({"symbol": "€", "decimal": ","}, "12,50\u00a0€", "12.5"),
        ({"decimal": ",", "thousands": "."}, "1.234,56 ", "1234.56"),
        ({"decimal": ",", "thousands": "."}, "1.234,56-", "-1234.56"),
        ({"decimal": ","}, ",5-", "-0.5"),
        ({"thousands": ","}, "12.50-", "-12.5"),
        # not a number by these signs
        ({"decimal": ","}, "12.5", None),
        ({"decimal": ","}, "1.234,5", None),
        ({"decimal": ",", "thousands": "."}, "1.23,5", None),
        ({"decimal": ",", "thousands": "."}, "12.5", None),
        ({"thousands": ","}, "1,5", None),
        ({"thousands": ","}, "12,34.5", None),
        ({"thousands": " "}, "1 23", None),
        ({"thousands": " "}, "12 345 6", None),
        ({}, "12.5 ", None),
        ({"decimal": ","}, "-1,5-", None),
        ({"decimal": ","}, "1,5--", None),
        ({"decimal": ","}, "1.5-", None),
        ({}, "1.5-", None),
        ({"decimal": ","}, "1,2,3", None),
        ({"decimal": ","}, "1,23456", None),
    ],
)
def test_a_number_may_have_other_signs(tmp_path: Path, meta: dict[str, str], text: str, price: str | None):
    (row,) = rows("order_items", tmp_path, [LINE | {"unit_price": text}], unit_price=meta)
    assert row["unit_price"] == (price and Decimal(price))
    assert bool(row["reasons"]) == (price is None)
    if price is None:
        assert json.loads(row["raw"])["unit_price"] == text


@pytest.mark.parametrize(
    ("meta", "text", "quantity"),
    [
        ({"decimal": ",", "thousands": "."}, "1.200", 1200),
        ({"decimal": ",", "thousands": "."}, "-1.234.567", -1234567),
        ({"decimal": ",", "thousands": "."}, "12", 12),
        ({"thousands": ","}, "1,200", 1200),
        ({"thousands": ","}, "1,200-", -1200),
        # not a whole number by these signs
        ({"decimal": ",", "thousands": "."}, "1.20", None),
        ({"decimal": ",", "thousands": "."}, "1,2", None),
        ({"decimal": ","}, "1.200", None),
    ],
)
def test_a_whole_number_may_have_other_signs(tmp_path: Path, meta: dict[str, str], text: str, quantity: int | None):
    (row,) = rows("order_items", tmp_path, [LINE | {"quantity": text}], quantity=meta)
    assert (row["quantity"], bool(row["reasons"])) == (quantity, quantity is None)


@pytest.mark.parametrize(
    ("meta", "text", "price"),
    [
        ({"symbol": "$", "thousands": ","}, "$1,234.50", "1234.5"),
        ({"symbol": "$", "thousands": ","}, "-$1,234.50", "-1234.5"),
        ({"symbol": "$", "thousands": ","}, "$-1,234.50", "-1234.5"),
        ({"symbol": "$"}, "$ 12.50", "12.5"),
        ({"symbol": "$"}, "$.5", "0.5"),
        ({"symbol": "$"}, "12.50", "12.5"),
        ({"symbol": ["€", "EUR"], "decimal": ",", "thousands": "."}, "1.234,50 €", "1234.5"),
        ({"symbol": ["€", "EUR"], "decimal": ",", "thousands": "."}, "EUR 1.234,50-", "-1234.5"),
        ({"symbol": ["€", "EUR"], "decimal": ","}, "12,5EUR", "12.5"),
        ({"symbol": "kr", "thousands": "\u00a0", "decimal": ","}, "1\u00a0234,50 kr", "1234.5"),
        ({"percent": True}, "12.5%", "0.125"),
        ({"percent": True}, "-7 %", "-0.07"),
        ({"percent": True}, "100%", "1"),
        ({"percent": True}, "12345.60%", "123.456"),
        ({"percent": True}, ".25%", "0.0025"),
        ({"percent": True}, "5.000000%", "0.05"),
        ({"percent": True, "decimal": ",", "thousands": "."}, "1.234,5%", "12.345"),
        # another sign, twice a sign, or none where one decides
        ({"symbol": "$"}, "€12.50", None),
        ({"symbol": "$"}, "$12.50$", None),
        ({"symbol": "$"}, "$$12.50", None),
        ({"symbol": "$"}, "-$-12.50", None),
        ({"symbol": "$"}, "12.50%", None),
        ({"symbol": "$"}, "$", None),
        # parentheses are a minus
        ({"symbol": "$"}, "($12.50)", "-12.5"),
        ({"symbol": "$"}, "$(12.50)", "-12.5"),
        ({"symbol": "$"}, "$ (12.50)", "-12.5"),
        ({"symbol": "$", "thousands": ","}, "(1,234.50)", "-1234.5"),
        ({"thousands": ","}, "(1,234.50)", "-1234.5"),
        ({"decimal": ","}, "(0,5)", "-0.5"),
        ({"symbol": ["€", "EUR"], "decimal": ",", "thousands": "."}, "(1.234,50 €)", "-1234.5"),
        ({"symbol": ["€", "EUR"], "decimal": ",", "thousands": "."}, "(1.234,50) EUR", "-1234.5"),
        ({"percent": True}, "(12.5%)", "-0.125"),
        ({"percent": True}, "(12.5)%", "-0.125"),
        ({"percent": True}, "(12.5)", None),
        ({"symbol": "$"}, "(-$12.50)", None),
        ({"symbol": "$"}, "-($12.50)", None),
        ({"symbol": "$"}, "($12.50", None),
        ({"symbol": "$"}, "(($12.50))", None),
        ({"symbol": "$"}, "$($12.50)", None),
        ({"symbol": "$"}, "(€12.50)", None),
        ({"symbol": "$"}, "()", None),
        ({"decimal": ","}, "(0.5)", None),
        ({"thousands": ","}, "(12-)", None),
        ({}, "(12.50)", None),
        ({"symbol": "$", "thousands": ","}, "$1,23.50", None),
        ({"percent": True}, "0.125", None),
        ({"percent": True}, "12.345%", None),
        ({"percent": True}, "12.5%%", None),
        ({"percent": True}, "%", None),
        ({}, "12.5%", None),
        ({}, "$12.5", None),
    ],
)
def test_an_amount_may_have_a_symbol_and_a_share_is_written_as_a_percentage(
    read: Read, meta: dict[str, Any], text: str, price: str | None
):
    assert read([text], "decimal(18,4)", meta) == [price and Decimal(price)]


def test_an_amount_with_another_symbol_is_a_dead_letter_as_it_came(tmp_path: Path):
    texts = [LINE | {"line_number": str(n), "unit_price": one} for n, one in enumerate(("$5", "€5"))]
    first, second = sorted(
        rows("order_items", tmp_path, texts, unit_price={"symbol": "$"}), key=lambda row: bool(row["reasons"])
    )
    assert (first["unit_price"], first["reasons"]) == (Decimal(5), None)
    assert (second["reasons"], json.loads(second["raw"])["unit_price"]) == (["not_parsed:unit_price"], "€5")


def test_any_percentage_is_a_hundredth(read: Read):
    pick = Random(1)
    percents = [Decimal(pick.randint(-(10**9), 10**9)).scaleb(-2) for _ in range(300)]
    assert read([f"{one}%" for one in percents], "decimal(18,4)", {"percent": True}) == [one / 100 for one in percents]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
@pytest.mark.parametrize(
    "text", ["44197", "44197.5", "44197.520833333336", "61", "46327.9999999", "46327.0423611111", "36526.000011574"]
)
def test_a_spreadsheets_day_is_a_time(read: Read, text: str, zone: str):
    milliseconds = int(Fraction(text) * 86_400_000 + Fraction(1, 2))
    local = datetime(1900, 3, 1) + timedelta(days=-61, milliseconds=milliseconds)
    expected = local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    assert read([text], "timestamp", {"time_format": "excel", "timezone": zone}) == [expected.replace(tzinfo=None)]
    assert clock_of(Column("ordered_at", "timestamp", time_formats=("excel",), timezone=zone))(text) == expected


@pytest.mark.parametrize("text", ["60", "60.9", "2958466", "-44197", "44197,5", "4.4e4", "01/02/2010", "", "44197."])
def test_what_is_no_day_of_a_spreadsheet_is_refused(read: Read, text: str):
    assert read([text], "timestamp", {"time_format": "excel"}) == [None]
    assert clock_of(Column("ordered_at", "timestamp", time_formats=("excel",)))(text) is None


def test_any_second_survives_a_spreadsheet(read: Read):
    pick, clock = Random(1), clock_of(Column("x", "timestamp", time_formats=("excel",)))
    times = [datetime(1901, 1, 1) + timedelta(seconds=pick.randint(0, 200 * 365 * 86400)) for _ in range(300)]
    serials = [repr((at - datetime(1899, 12, 30)).total_seconds() / 86400) for at in times]
    assert read(serials, "timestamp", {"time_format": "excel"}) == times
    assert [clock(one) for one in serials] == [at.replace(tzinfo=UTC) for at in times]


@settings(max_examples=30, deadline=None)
@given(st.decimals(-(10**9), 10**9, places=2), st.sampled_from([(".", ","), (",", "."), (".", "'"), (",", " ")]))
def test_any_amount_reads_back(tmp_path_factory: pytest.TempPathFactory, amount: Decimal, signs: tuple[str, str]):
    decimal, thousands = signs
    text = f"{amount:,.2f}".translate(str.maketrans({",": thousands, ".": decimal}))
    folder = tmp_path_factory.mktemp("amount")
    meta = {"decimal": decimal, "thousands": thousands}
    (row,) = rows("order_items", folder, [LINE | {"unit_price": text}], unit_price=meta)
    assert (row["unit_price"], row["reasons"]) == (amount, None)


SAP = {"join": ["ERDAT", "ERZET"], "time_format": ["%Y%m%d %H%M%S", "%Y%m%d"], "missing": "00000000 000000"}


def test_a_date_and_a_time_in_two_columns_are_one_time(tmp_path: Path):
    two = [("20240131", "235959"), ("20240131", None), ("20240131", ""), ("20240131", "000000"), ("00000000", "000000")]
    two += [(None, "120000"), ("", ""), (None, None), ("20240131", "240000"), ("20240131", "12345")]
    order = {name: text for name, text in ORDER.items() if name != "ordered_at"}
    given = [order | {"ERDAT": day, "ERZET": clock} for day, clock in two]
    found = rows("orders", tmp_path, given, ordered_at=SAP | {"timezone": "Europe/Berlin"})
    clock = clock_of(
        Column("ordered_at", "timestamp", time_formats=tuple(SAP["time_format"]), timezone="Europe/Berlin")
    )
    evening, midnight = datetime(2024, 1, 31, 22, 59, 59), datetime(2024, 1, 30, 23)
    expected = [evening, midnight, midnight, midnight, *[None] * 6]
    assert [row["ordered_at"] for row in found] == expected
    missing, wrong = ["missing:ordered_at"], ["not_parsed:ordered_at"]
    assert [row["reasons"] for row in found] == [*[None] * 4, missing, wrong, missing, missing, wrong, wrong]
    texts = [joined(one) for one in two]
    assert [at and at.replace(tzinfo=None) for at in (clock(text) if text else None for text in texts)] == expected


def test_a_line_may_have_a_date_and_a_time(tmp_path: Path):
    texts = [
        event(event_time=None, day="20240131", at={"clock": "235959"}),
        event(event_time=None, day="20240131", at={"clock": 1}),
    ]
    meta = {"join": ["day", "$.at.clock"], "time_format": "%Y%m%d %H%M%S"}
    found = events(tmp_path, texts, event_time=meta)
    assert [row["event_time"] for row in found] == [datetime(2024, 1, 31, 23, 59, 59), None]
    assert [row["reasons"] for row in found] == [None, ["not_parsed:event_time"]]


def test_values_have_the_contracts_names(tmp_path: Path):
    texts = ["CANCELED", "Void", "paid", "Shipped!", "X-1", "X-12", "N/A"]
    meta = {
        "values": {"cancelled": ["CANCELED", "Void"], "shipped": "Shipped!", "refunded": "/X-\\d/"},
        "missing": ["N/A"],
    }
    found = rows("orders", tmp_path, [ORDER | {"status": text} for text in texts], status=meta)
    assert [row["status"] for row in found] == ["cancelled", "cancelled", "paid", "shipped", "refunded", "X-12", None]
    assert [row["reasons"] for row in found] == [None] * 5 + [["not_allowed:status"], None]


def test_a_value_outside_the_list_may_be_a_warning(tmp_path: Path):
    (row,) = rows("orders", tmp_path, [ORDER | {"status": "on hold"}], status={"unlisted": "warn"})
    assert (row["status"], row["reasons"]) == ("on hold", None)


def test_a_value_may_be_the_same_for_every_record(tmp_path: Path):
    order = {name: text for name, text in ORDER.items() if name != "currency"}
    (row,) = rows("orders", tmp_path, [order], currency={"constant": "it's"})
    assert (row["currency"], row["reasons"]) == ("it's", None)
    (line,) = rows("order_items", tmp_path, [LINE], discount_amount={"constant": 0.5})
    assert (line["discount_amount"], line["reasons"]) == (Decimal("0.5"), None)


def test_a_missing_required_value_is_still_refused(tmp_path: Path):
    (row,) = rows("orders", tmp_path, [ORDER | {"currency": "-"}], currency={"missing": "-"})
    assert row["reasons"] == ["missing:currency"]


def event(**fields: object) -> bytes:
    return (
        json.dumps(
            {"event_id": "e", "event_type": "click", "event_time": "2026-11-01T10:00:00Z", "visitor_id": "v"} | fields
        ).encode()
        + b"\n"
    )


def events(folder: Path, texts: list[bytes], **columns: dict[str, Any]) -> list[Row]:
    return parsed("clickstream", folder, lines(texts), columns=columns)


def test_a_column_may_be_deep_in_a_line(tmp_path: Path):
    texts = [
        event(visitor_id=None, context={"page": {"url": "/a"}, "ids": [7, "v1"]}, data={"price": 12.5, "n": 3}),
        event(context={"page": "none", "ids": ["x", "y"]}, data={"price": "12.50", "n": "3"}),
        event(context=None),
    ]
    found = events(
        tmp_path,
        texts,
        url={"from": "$.context.page.url"},
        visitor_id={"from": "$.context.ids[1]"},
        unit_price={"from": "$.data.price"},
        quantity={"from": "$.data.n"},
    )
    assert [row["reasons"] for row in found] == [None, ["wrong_type:quantity"], ["missing:visitor_id"]]
    assert (found[0]["url"], found[0]["visitor_id"], found[0]["unit_price"], found[0]["quantity"]) == (
        "/a",
        "v1",
        Decimal("12.5"),
        3,
    )


@pytest.mark.parametrize(
    ("values", "text", "expected"),
    [
        ({r"\1": r"/(\d+)\.0/"}, "17850.0", "17850"),
        ({r"\1": r"/(\d+)\.0/"}, "17850.5", "17850.5"),
        ({r"\1": r"/(\d+)\.0/"}, "x17850.0", "x17850.0"),
        ({r"\1": "/0*([^0].*)/"}, "0000012345", "12345"),
        ({r"\1": ["/#(.*)/", "/gid:..shopify.Order.(.*)/"]}, "gid://shopify/Order/7", "7"),
        ({r"\1": "/ *(.*?) */"}, " EUR  ", "EUR"),
        ({"none": "-", r"\2 \1": "/(.*), (.*)/", "other": "/x.*/"}, "Doe, Ann", "Ann Doe"),
        ({"none": "-", r"\2 \1": "/(.*), (.*)/", "other": "/x.*/"}, "-", "none"),
        ({"none": "-", r"\2 \1": "/(.*), (.*)/", "other": "/x.*/"}, "xy", "other"),
        ({r"\1": "/a|(b)|c/"}, "b", "b"),
    ],
)
def test_a_value_may_be_made_of_parts_of_the_text(tmp_path: Path, values: dict[str, Any], text: str, expected: str):
    (row,) = rows("orders", tmp_path, [ORDER | {"customer_id": text}], customer_id={"values": values})
    assert row["customer_id"] == expected and not row["reasons"]


def test_a_column_may_be_in_a_list_of_keys_and_values(tmp_path: Path):
    params = [
        {"key": "page_location", "value": {"string_value": "/a"}},
        {"key": "ga_session_id", "value": {"int_value": 9007199254740993}},
        {"key": "page_location", "value": {"string_value": "/second"}},
    ]
    texts = [event(params=params), event(params=[]), event(params="none"), event(params=[1, {"key": "page_location"}])]
    found = events(
        tmp_path,
        texts,
        url={"from": "$.params[key=page_location].value.string_value"},
        quantity={"from": "$.params[key=ga_session_id].value.int_value"},
    )
    assert [(row["url"], row["quantity"], row["reasons"]) for row in found] == [
        ("/a", 9007199254740993, None),
        *[(None, None, None)] * 3,
    ]


def test_lines_without_an_id_are_told_apart_within_their_file(tmp_path: Path):
    lines_of = [event(event_id=None, url=url) for url in ("/a", "/a", "/b")]
    table = pa.concat_tables([lines(lines_of, "a.jsonl"), lines([lines_of[0], lines_of[2][:-1]], "b.jsonl")])
    found = parsed("clickstream", tmp_path, table, columns={"event_id": {"row_id": True}})
    ids = [row["event_id"] for row in found]
    assert len(set(ids)) == 3 and ids[3:] == [ids[0], ids[2]] and not any(row["reasons"] for row in found)


def test_a_text_that_identifies_a_line_becomes_a_number(tmp_path: Path):
    texts = [LINE | {"line_number": one} for one in ("5b1c-a", "5b1c-b", "5b1c-a", "7", "")]
    found = rows("order_items", tmp_path, texts, line_number={"hash": True})
    numbers = [row["line_number"] for row in found]
    # the first 60 bits of the text's MD5
    expected = [int(hashlib.md5(one["line_number"].encode()).hexdigest()[:15], 16) for one in texts[:4]]
    assert numbers == [*expected, None] and numbers[0] == numbers[2]
    assert [row["reasons"] for row in found] == [*[None] * 4, ["missing:line_number"]]
    joined = rows(
        "order_items",
        tmp_path / "joined",
        [LINE | {"a": "x", "b": None}, LINE | {"a": "x", "b": "y"}],
        line_number={"join": ["a", "b"], "hash": True},
    )
    assert [row["line_number"] for row in joined] == [
        int(hashlib.md5(text).hexdigest()[:15], 16) for text in (b"x", b"x y")
    ]
    in_lines = [event(quantity=one) for one in ("5b1c-a", 7, 1.5)]
    found = events(tmp_path / "lines", in_lines, quantity={"hash": True})
    assert [row["quantity"] for row in found[:2]] == [expected[0], expected[3]]
    assert [row["reasons"] for row in found] == [None, None, ["wrong_type:quantity"]]


def test_a_text_may_be_joined_of_several_values(tmp_path: Path):
    texts = [
        event(event_id=one, time=7, order=order) for one, order in (("action", "1"), ("action", None), (None, "1"))
    ]
    types = {"json_types": ["string", "integer"]}
    found = events(tmp_path, texts, event_id={"join": ["event_id", "$.time", "$.order"], "required": True, **types})
    assert [(row["event_id"], row["reasons"]) for row in found] == [
        ("action 7 1", None),
        ("action 7", None),
        ("7 1", None),
    ]


def test_two_columns_of_a_line_may_have_one_name(tmp_path: Path):
    names = {"referrer": {"from": "url"}, "url": {"from": "url"}}
    (row,) = events(tmp_path, [event(url="/a")], **names)
    assert (row["url"], row["referrer"], row["reasons"]) == ("/a", "/a", None)


def test_long_lines_with_several_names_take_little_memory(tmp_path: Path):
    others = {f"key_{number}": "x" * 20 for number in range(300)}
    texts = [event(event_id=f"e{number}", url="/a", **others) for number in range(2048)]
    names = {
        name: {"from": [f"$.other.{name}", name]} for name in ("url", "referrer", "campaign", "product_id", "country")
    }
    found = parsed("clickstream", tmp_path, lines(texts), columns=names, memory="700MB")
    assert len(found) == 2048 and all(row["url"] == "/a" and row["reasons"] is None for row in found)


def test_a_repeated_key_is_refused_beside_paths(tmp_path: Path):
    text = event(url="/a")[:-2] + b',"url":"/b"}\n'
    (row,) = events(tmp_path, [text], referrer={"from": "$.context.referrer"})
    assert row["reasons"] == ["duplicate_key"]


def test_ids_may_be_numbers_and_times_may_be_counts(tmp_path: Path):
    texts = [
        event(visitor_id=12345678901234567, event_time=1793527200123),
        event(visitor_id=1.5),
        event(visitor_id=True),
    ]
    types = {"json_types": ["string", "integer"]}
    found = events(tmp_path, texts, visitor_id=types, event_time={"time_format": ["milliseconds", "iso"]})
    assert found[0]["visitor_id"] == "12345678901234567" and found[0]["reasons"] is None
    assert found[0]["event_time"] == datetime.fromtimestamp(1793527200, UTC).replace(microsecond=123000, tzinfo=None)
    assert [row["reasons"] for row in found[1:]] == [["wrong_type:visitor_id"]] * 2


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=8), st.randoms())
def test_rows_without_a_key_are_told_apart_by_content_and_count(
    tmp_path_factory: pytest.TempPathFactory, products: list[str], random: Any
):
    def ids(order: list[str]) -> list[tuple[str, int]]:
        texts = [
            {name: text for name, text in LINE.items() if name != "line_number"} | {"product_id": one} for one in order
        ]
        if not texts:
            return []
        found = rows("order_items", tmp_path_factory.mktemp("rows"), texts, line_number={"row_id": True})
        assert not any(row["reasons"] for row in found)
        return sorted((row["product_id"], row["line_number"]) for row in found)

    here = ids(products)
    assert len(set(here)) == len(products)
    other = list(products)
    random.shuffle(other)
    assert ids(other) == here
    # one more row leaves the others as they are
    assert set(here) <= set(ids([*products, "c"]))
