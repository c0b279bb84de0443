"""Guesses about columns: names that contracts accept, and types that read every value, by the macro that parses records."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import MappingProxyType

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.contract import read_contract
from operations import guesses
from operations.guesses import BOOLEAN, FRACTION, LIST, NUMBER, OBJECT, STRING, type_of
from tests.unit.macros.dbt_like import project

Reads = Callable[..., bool]


@pytest.fixture(scope="module")
def reads() -> Reads:
    """Return whether the parser of the records reads a text as a type, or as no value by a mark for that."""
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    macros = project(connection)

    def read(text: str, data_type: str, options: Mapping[str, object] = MappingProxyType({})) -> bool:
        meant = macros["meant_text"]("text", dict(options))
        sql = f"select ({macros['typed']('meant', data_type, dict(options))}) is not null or meant is null from (select {meant} as meant from (select ? as text))"
        (found,) = connection.execute(sql, [text]).fetchall()
        return bool(found[0])

    return read


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("quantity", ["1", "20", "-3"], "bigint"),
        ("order_id", ["1", "20"], "varchar"),
        ("OrderID", ["1", "20"], "varchar"),
        ("plz", ["01067", "80331"], "varchar"),
        ("stock", ["007", "12"], "varchar"),
        ("line_number", ["1", "2"], "bigint"),
        ("stars", ["9223372036854775808"], "varchar"),
        ("amount", ["1.5", "2", "-3.1234"], "decimal(18,4)"),
        ("amount", ["1.50000"], "decimal(18,4)"),
        ("amount", ["1.50001"], "decimal(18,8)"),
        ("CustomerID", ["17850.0", "13047.0"], "varchar"),
        ("amount", ["17850.0", "13047.0"], "decimal(18,4)"),
        ("at", ["29.03.2024, 08:12:00", "1.4.2024, 23:00:59"], "timestamp"),
        ("at", ["3/29/2024, 8:12:00 AM"], "timestamp"),
        ("amount", [".5", "7."], "decimal(18,4)"),
        ("amount", ["1e5", "2"], "varchar"),
        ("amount", ["NaN", "x"], "varchar"),
        ("amount", ["1,500", "2"], "varchar"),
        ("amount", ["1.23,50", "2"], "varchar"),
        ("amount", ["100000000000000.5"], "decimal(38,15)"),
        ("day", ["2026-11-01", "2026-02-28"], "date"),
        ("day", ["2026-11-01", "2026-02-30"], "varchar"),
        ("day", ["01.02.03.04"], "varchar"),
        ("day", ["01/02/2026"], "varchar"),
        ("at", ["2026-11-01T10:00:00Z", "2026-11-01 10:00"], "timestamp"),
        ("at", ["2026-11-01T10:00:00 CET"], "varchar"),
        ("at", ["2026-11-01 10:00", "11-01 10:00"], "varchar"),
        ("at", ["0001-01-01T00:00:00+14:00"], "varchar"),
        ("at", ["2026-11-01T24:00:00Z"], "varchar"),
        ("paid", ["true", "false"], "boolean"),
        ("paid", ["t", "f"], "boolean"),
        ("class", ["t"], "varchar"),
        ("paid", ["True", "false"], "varchar"),
        ("paid", ["yes"], "varchar"),
        ("nothing", [], "varchar"),
        ("padded", [" 1", "2"], "bigint"),
        ("places", ["1 2", "2"], "varchar"),
        ("app_version", ["1.10", "1.1"], "varchar"),
        ("user_pseudo_id", ["1706700000.10", "17067.5"], "varchar"),
    ],
)
def test_types_of_texts(name: str, values: list[str], kind: str) -> None:
    assert type_of(name, values).name == kind


def test_ids_that_a_tool_wrote_as_floats_are_proposed_without_the_zero() -> None:
    assert type_of("CustomerID", ["17850.0", "13047.0"]).options == {"values": {r"\1": r"/(\d+)\.0/"}}
    assert type_of("CustomerID", ["17850.0", "13047.5"]).name == "varchar"


@pytest.mark.parametrize(
    ("values", "kinds", "kind"),
    [
        (["1", "2"], {NUMBER}, "bigint"),
        (["1", "2.5"], {NUMBER, FRACTION}, "decimal(18,4)"),
        (["1", "2.5"], {NUMBER, STRING}, "decimal(18,4)"),
        (["1", "2"], {STRING}, "bigint"),
        (["01", "2"], {STRING}, "varchar"),
        (["1", "x"], {STRING}, "varchar"),
        (["12.50", ""], {STRING}, "decimal(18,4)"),
        (["true", "false"], {STRING}, "boolean"),
        (["1.5", "x"], {FRACTION, STRING}, None),
        (["1234567890.1234567"], {FRACTION}, None),
        (["true"], {BOOLEAN}, "boolean"),
        (["true", "1"], {BOOLEAN, NUMBER}, None),
        (["{}"], {OBJECT}, "json"),
        (["[]"], {LIST}, "json"),
        (["[]", "x"], {LIST, STRING}, None),
        (["2026-11-01T10:00:00Z"], {STRING}, "timestamp"),
        ([], set(), "varchar"),
    ],
)
def test_types_of_json(values: list[str], kinds: set[str], kind: str | None) -> None:
    assert type_of("value", values, kinds).name == kind


@pytest.mark.parametrize(
    ("name", "values", "kind", "options"),
    [
        ("created_at", ["1793527200", "1793527201"], "timestamp", {"time_format": "seconds"}),
        ("ts", ["1793527200000"], "timestamp", {"time_format": "milliseconds"}),
        ("visits", ["1793527200"], "bigint", {}),
        ("amount", ["1,5", "2"], "decimal(18,4)", {"decimal": ","}),
        ("amount", ["1.234,50", "2"], "decimal(18,4)", {"decimal": ",", "thousands": "."}),
        ("amount", ["1,234.50", "2"], "decimal(18,4)", {"thousands": ","}),
        ("amount", ["1,234,500", "2"], "decimal(18,4)", {"thousands": ","}),
        ("amount", ["1.234,56-", "12,00", "3"], "decimal(18,4)", {"decimal": ",", "thousands": "."}),
        ("amount", ["12.50-", "3"], "decimal(18,4)", {"thousands": ","}),
        ("amount", ["12-", "3"], "bigint", {"thousands": ","}),
        ("amount", ["1 234,50", "12,5-"], "decimal(18,4)", {"decimal": ",", "thousands": " "}),
        ("amount", ["1\u202f234,5 €", "12\u00a0€"], "decimal(18,4)", {"decimal": ",", "thousands": " ", "symbol": "€"}),
        ("amount", ["1'234.50", "12"], "decimal(18,4)", {"thousands": "'"}),
        ("amount", ["1 234", "12"], "bigint", {"thousands": " "}),
        ("amount", [" 12.50", "3.00 "], "decimal(18,4)", {"thousands": ","}),
        ("amount", ["1.234,56 ", "1,00-"], "decimal(18,4)", {"decimal": ",", "thousands": "."}),
        ("amount", ["1 23,4", "2"], "varchar", {}),
        ("amount", ["1,500-", "2"], "varchar", {}),
        ("amount", ["-1,5-", "2"], "varchar", {}),
        ("amount", ["N/A", "2.5", "-"], "decimal(18,4)", {"missing": ["-", "N/A"]}),
        ("day", ["NULL", "2026-11-01"], "date", {"missing": ["NULL"]}),
        ("paid", ["yes", "no"], "boolean", {"values": {"true": ["yes"], "false": ["no"]}}),
        ("day", ["01.11.2026", "31.1.2026"], "date", {"time_format": "%d.%m.%Y"}),
        ("day", ["01/13/2026"], "date", {"time_format": "%m/%d/%Y"}),
        (
            "at",
            ["31.10.2026 10:00", "01.11.2026 10:00:05"],
            "timestamp",
            {"time_format": ["%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M"]},
        ),
        ("at", ["10/31/2026 10:00 PM"], "timestamp", {"time_format": "%m/%d/%Y %I:%M %p"}),
        ("at", ["2026-11-01 10:00:00 UTC"], "timestamp", {"time_format": "%Y-%m-%d %H:%M:%S UTC"}),
        ("at", ["2026-11-01", "2026-11-01 10:00"], "timestamp", {"time_format": ["iso", "%Y-%m-%d"]}),
        ("Created at", ["2026-11-01 10:00:00 +0100"], "timestamp", {"time_format": "%Y-%m-%d %H:%M:%S %z"}),
        ("at", ["Sun, 01 Nov 2026 10:00:00 +0000"], "timestamp", {"time_format": "%a, %d %b %Y %H:%M:%S %z"}),
        ("at", ["01/Nov/2026:10:00:00 -0500"], "timestamp", {"time_format": "%d/%b/%Y:%H:%M:%S %z"}),
        ("day", ["Nov 1, 2026", "Dec 24, 2026"], "date", {"time_format": "%b %d, %Y"}),
        ("event_date", ["20261101", "20260228"], "date", {"time_format": "%Y%m%d"}),
        ("Buchungsdatum", ["20261101"], "date", {"time_format": "%Y%m%d"}),
        ("event_date", ["20261101", "20261301"], "bigint", {}),
        ("amount", ["20261101"], "bigint", {}),
        ("derived_tstamp", ["1793527200000123"], "timestamp", {"time_format": "microseconds"}),
        ("price", ["$1,234.50", "$5.00", "($5.00)"], "decimal(18,4)", {"thousands": ",", "symbol": "$"}),
        ("price", ["$5.00", "-$3", "4"], "decimal(18,4)", {"symbol": "$"}),
        ("betrag", ["€ 5,00", "€ 1.234,50-"], "decimal(18,4)", {"decimal": ",", "thousands": ".", "symbol": "€"}),
        ("betrag", ["5,00 EUR", "(3,50 EUR)"], "decimal(18,4)", {"decimal": ",", "symbol": "EUR"}),
        ("amount", ["(5.00)", "3.25"], "decimal(18,4)", {"thousands": ","}),
        ("amount", ["(5,00)", "3,25"], "decimal(18,4)", {"decimal": ","}),
        ("tax", ["19%", "7 %", "-12.5%"], "decimal(18,4)", {"percent": True}),
        ("tax", ["7,125 %", "19,0 %"], "decimal(18,8)", {"decimal": ",", "percent": True}),
        ("order_date", ["44197.5", "44198", "45000.520833333336"], "timestamp", {"time_format": "excel"}),
        ("order_date", ["44197", "44198"], "date", {"time_format": "excel"}),
        ("line_number", ["1.00", "12.00"], "bigint", {}),
        # two currencies, a share beside a number, what may be one or a thousand, and what names a thing
        ("price", ["EUR 5.00", "USD 6.00"], "varchar", {}),
        ("tax", ["19%", "7"], "varchar", {}),
        ("price", ["$1,234", "$2,000"], "varchar", {}),
        ("code", ["A12", "B7"], "varchar", {}),
        ("size", ["12 kg", "5 kg"], "varchar", {}),
        ("visits", ["44197", "44198"], "bigint", {}),
        ("order_date", ["1", "44198"], "bigint", {}),
    ],
)
def test_what_a_contract_says_of_how_values_are_written(
    reads: Reads, name: str, values: list[str], kind: str, options: dict[str, object]
) -> None:
    found = type_of(name, values)
    assert (found.name, found.options) == (kind, options)
    assert [text for text in values if not reads(text, kind, options) and text not in ("N/A", "-", "NULL")] == []
    if kind in ("timestamp", "date"):
        read = guesses.reader(kind, options)
        assert all(read(text) for text in values if text != "NULL")


def test_ids_in_lines_may_be_numbers() -> None:
    assert type_of("user_id", ["1"], {NUMBER}).options == {"json_types": ["string", "integer"]}
    assert [type_of(name, ["1"], {STRING}).name for name in ("user_id", "idSite", "visits")] == [
        "varchar",
        "varchar",
        "bigint",
    ]
    assert type_of("visits", ["1"], {STRING}).options == {"json_types": ["string", "integer"]}
    assert type_of("price", ["1.5", ""], {STRING}).options == {"missing": [""]}
    assert type_of("x", ["1", "a"], {NUMBER, STRING}).name == "varchar"
    assert type_of("ts", ["1793527200000"], {NUMBER}).options == {"time_format": "milliseconds"}


def test_a_few_wrong_values_leave_a_time_a_time() -> None:
    found = guesses.mostly_time(["2026-11-01T10:00:00Z"] * 9 + ["soon"])
    assert found and (found[0].name, found[1]) == ("timestamp", 1)
    found = guesses.mostly_time(["13.11.2026"] * 9 + ["soon"])
    assert found and found[0].options == {"time_format": "%d.%m.%Y"}
    assert guesses.mostly_time(["01/02/2026"] * 9 + ["soon"]) is None
    assert guesses.mostly_time(["a"] * 9) is None


OFFSETS = st.integers(-15 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
VALUES = st.one_of(
    st.text(max_size=8),
    st.text("0123456789+-.,eTZ: ", max_size=24),
    st.text("0123456789+-.,$%() ", max_size=9),
    st.text("0123456789-.,' \u00a0\u202f€", max_size=9),
    st.from_regex(r"[-(]?\$ ?[0-9]{1,3}(,[0-9]{3})?(\.[0-9]{1,2})?[)-]?", fullmatch=True),
    st.integers().map(str),
    st.decimals(allow_nan=True, places=3).map(str),
    st.floats().map(str),
    st.dates().map(str),
    st.datetimes(timezones=st.just(UTC) | OFFSETS).map(datetime.isoformat),
    st.datetimes().map(lambda at: at.isoformat(" ", "minutes")),
    st.sampled_from(
        ["true", "false", "t", "f", "", "0", "00", "2026-02-29", "0000-01-01", "9999-12-31T23:59:59-15:00"]
    ),
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(["id", "amount", "created_at", "x"]), st.data())
def test_a_proposed_type_refuses_no_value(reads: Reads, name: str, data: st.DataObject) -> None:
    one_sort = data.draw(st.sampled_from([VALUES, *VALUES.original_strategies]))  # type: ignore[attr-defined]
    values = data.draw(st.lists(one_sort, max_size=6).map(set))
    found = type_of(name, values)
    assert found.name and [text for text in values if not reads(text, found.name, found.options)] == []


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(*VALUES.original_strategies))  # type: ignore[attr-defined]
def test_times_are_read_as_the_parser_reads_them(reads: Reads, text: str) -> None:
    if guesses.is_time(text):
        assert reads(text, "timestamp")
    if guesses.is_date(text):
        assert reads(text, "date")


@pytest.mark.parametrize(
    ("headers", "names"),
    [
        (["InvoiceNo", "CustomerID", "Unit Price (€)"], ["invoice_no", "customer_id", "unit_price"]),
        (["Straße", "Größe", "Été"], ["strasse", "groesse", "ete"]),
        (["order", "Group", "fate", "record_no"], ["order_value", "group_value", "fate_value", "record_no_value"]),
        (["a", "A", "a ", "text_a"], ["a", "a_2", "a_3", "text_a_4"]),
        (["text_a", "a"], ["text_a", "a_2"]),
        (["2024", "", "日本"], ["c_2024", "column_2", "column_3"]),
    ],
)
def test_names(headers: list[str], names: list[str]) -> None:
    assert guesses.plain_names(headers) == names


HEADERS = st.lists(
    st.text(max_size=12)
    | st.text(" _-.abAB1", max_size=6)
    | st.sampled_from(
        ["order", "ORDER", "select", "text_a", "a", "A", "is_deleted", "yes", "null", "text_order_value"]
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(HEADERS)
def test_a_contract_accepts_the_names_of_any_header(
    tmp_path_factory: pytest.TempPathFactory, headers: list[str]
) -> None:
    path = tmp_path_factory.mktemp("contract") / "staging_x.yml"
    columns = "".join(f"          - {{name: '{name}', data_type: varchar}}\n" for name in guesses.plain_names(headers))
    first = guesses.plain_names(headers)[0]
    path.write_text(CONTRACT.format(first=first) + columns)
    assert len(read_contract(Path(path)).columns) == len(headers)


CONTRACT = """
sources:
  - name: bronze
    tables:
      - name: x
        config:
          meta: {{contract_version: 1, source: x, format: rows, key: ['{first}'], cadence: 1 day, lateness: 2 days, owner: o, location: x.csv}}
        columns:
"""


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("first_name", ["A"], "its name"),
        ("E-Mail", ["A"], "its name"),
        ("IP", ["A"], "its name"),
        ("Geburtsdatum", ["1990-01-01"], "its name"),
        ("contact", ["a@example.org", "b@example.org"], "email addresses"),
        ("contact", ["+49 30 1234567", "0049 30 1234567"], "telephone numbers"),
        ("ship", ["a", "b"], ""),
        ("product_name", ["a"], ""),
    ],
)
def test_personal_data(name: str, values: list[str], why: str) -> None:
    assert guesses.personal(name, values) == why


def test_what_names_say() -> None:
    ranks = {
        name: guesses.id_rank(name, "orders")
        for name in ("id", "order_id", "OrderNo", "customer_id", "zip_code", "status")
    }
    assert ranks == {"id": 3, "order_id": 3, "OrderNo": 3, "customer_id": 2, "zip_code": 0, "status": 0}
    assert guesses.id_rank("Bestellnr", "bestellungen") == 3
    times = ("created_at", "OrderDate", "Datum", "updated_at", "birth_date", "status")
    assert [guesses.event_rank(name) for name in times] == [3, 3, 1, 0, 0, 0]
    changes = ("LastModified", "write_date", "date_upd", "created", "write_uid")
    assert [guesses.is_version(name) for name in changes] == [True, True, True, False, False]
    assert guesses.is_amount("total_amount") and not guesses.is_amount("unit_price") and guesses.is_price("unit_price")
    assert guesses.is_currency("Währung", ["EUR"]) and not guesses.is_currency("Währung", ["Euro"])
    assert guesses.is_part_of_key("Line No") and not guesses.is_part_of_key("quantity")
    named = ["a b", "Ä", 'a"b', "a\\b", "a{{b", "a\tb", " "]
    assert [one for one in named if guesses.can_be_named(one)] == ["a b", "Ä"]
    assert [guesses.singular(one) for one in ("orders", "companies", "boxes", "address", "bus")] == [
        *("order", "company", "box", "address", "bus"),
    ]


@pytest.mark.parametrize("unit", ["seconds", "milliseconds", "microseconds"])
@pytest.mark.parametrize("kinds", [{STRING}, {NUMBER}])
def test_a_count_of_time_in_lines_may_be_a_text(reads: Reads, unit: str, kinds: set[str]) -> None:
    at = datetime(2026, 11, 1, 10, tzinfo=UTC)
    size = {"seconds": 1, "milliseconds": 1000, "microseconds": 1_000_000}[unit]
    text = str(int(at.timestamp()) * size)
    found = type_of("event_timestamp", [text], kinds)
    assert (found.name, found.options) == ("timestamp", {"time_format": unit})
    assert reads(text, "timestamp", found.options) and guesses.reader("timestamp", found.options)(text) == at
    assert type_of("visits", [text], kinds).name == "bigint"
    assert type_of("session_id", [text], kinds).name == "varchar"


def test_a_date_in_lines_may_be_a_number() -> None:
    found = type_of("event_date", ["20261101"], {NUMBER})
    assert (found.name, found.options) == ("date", {"time_format": "%Y%m%d", "json_types": ["string", "integer"]})
    assert type_of("event_date", ["20261101"], {STRING}).options == {"time_format": "%Y%m%d"}


@pytest.mark.parametrize(
    ("values", "days", "expected"),
    [
        (["01/12/2010", "02/12/2010"], ("2010-12-01", "2010-12-02"), "%d/%m/%Y"),
        (["01/12/2010", "02/12/2010"], ("2010-01-12", "2010-02-12"), "%m/%d/%Y"),
        (["01/12/2010 08:30"], ("2010-12-01", "2010-12-01"), "%d/%m/%Y %H:%M"),
        (["01-12-2010"], ("2010-12-01", "2010-12-01"), "%d-%m-%Y"),
        # both fit, or neither
        (["01/01/2010"], ("2010-01-01", "2010-01-01"), None),
        (["02/01/2010", "01/02/2010"], ("2010-01-01", "2010-12-31"), None),
        (["05/06/2010"], ("2010-12-01", "2010-12-01"), None),
    ],
)
def test_the_days_of_the_files_show_what_comes_first(
    values: list[str], days: tuple[str, str], expected: str | None
) -> None:
    assert type_of("day", values).why == guesses.DAY_OR_MONTH
    found = guesses.by_days(values, *days)
    assert (found and found.options.get("time_format")) == expected


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["0.14285714285714285", "1"], "15 decimals at most"),
        (["$1,234.50", "€3"], "a column of its own"),
        (["12 %", "5"], ""),
        (["$1,234"], "a comma may separate"),
        (['{"a": 1}', '{"a": 2}'], "paths"),
        (["10.0.0.1", "10.0.0.2"], ""),
    ],
)
def test_why_values_stay_text(values: list[str], said: str) -> None:
    found = type_of("value", values)
    assert found.name == "varchar" and found.why.startswith("texts") and said in found.why
    assert (found.why == "texts") == (not said)


def test_numbers_padded_with_zeros_are_no_telephone_numbers() -> None:
    assert guesses.personal("Kunde", ["0000004711", "0004500000"]) == ""
    assert guesses.personal("kontakt", ["00491701234567", "00491709876543"]) == "telephone numbers"
    assert guesses.personal("VBELN", ["0090000121", "0090000004"]) == ""
    assert guesses.personal("kontakt", ["0049 30 123456"]) == "telephone numbers"
    assert guesses.personal("host", ["10.0.0.1", "192.168.1.254"]) == "IP addresses"
    assert guesses.personal("version", ["10.0.0.256"]) == ""


def test_the_time_of_an_event_is_before_that_of_its_transport() -> None:
    names = ["timestamp", "event_timestamp", "derived_tstamp", "received_at", "sentAt", "collector_tstamp"]
    assert [guesses.event_rank(name) for name in names] == [4, 4, 4, 1, 1, 1]
