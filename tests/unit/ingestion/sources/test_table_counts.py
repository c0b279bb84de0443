"""Counts of declared tables by day: at a real Postgres, in what landed of it, and by plain Python."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion import bronze, sources
from ingestion.contract import Contract, read_contracts
from ingestion.home import Home
from ingestion.land import Landing
from ingestion.sources import database_tables
from ingestion.window import Window

Database = psycopg.Connection[Any]
AT = datetime(2100, 1, 1, tzinfo=UTC)
DAYS = ("2026-11-01", "2026-11-03")
HEADS = """
      - name: bills
        config: {meta: {contract_version: 1, source: erp, format: rows, connection: erp, table: 'c.Bills 100%', placed: At, changed: changed,
                 key: [bill], version_column: changed, event_time: billed_at, cadence: 1 hour, lateness: 2 days, owner: finance,
                 money: {column: due, amount: "case when is_credit then -due else due end", currency: currency}}}
        columns:
          - {name: bill, data_type: varchar, config: {meta: {from: 'Bill No'}}}
          - {name: due, data_type: 'decimal(18,4)', config: {meta: {from: Due}}}
          - {name: is_credit, data_type: boolean}
          - {name: currency, data_type: varchar}
          - {name: billed_at, data_type: timestamp, config: {meta: {from: At, timezone: Asia/Tokyo}}}
          - {name: changed, data_type: timestamp}
"""
LINES = """
      - name: bill_lines
        config: {meta: {contract_version: 1, source: erp, format: rows, connection: erp, table: c.lines, changed: changed,
                 lands_with: {dataset: bills, column: bill}, key: [bill, line], version_column: changed, cadence: 1 hour, lateness: 2 days,
                 owner: finance, money: {column: price, amount: "cast(quantity as decimal(19, 0)) * price"}}}
        columns:
          - {name: bill, data_type: varchar}
          - {name: line, data_type: bigint}
          - {name: quantity, data_type: bigint}
          - {name: price, data_type: 'decimal(18,4)'}
          - {name: changed, data_type: timestamp}
"""
GROUPS = """
      - name: groups
        config: {meta: {contract_version: 1, source: erp, format: rows, connection: erp, table: c.groups, key: [code], version_column: seen_at,
                 cadence: 1 hour, lateness: 2 days, owner: finance, money: {column: fee, amount: fee, currency: currency}}}
        columns:
          - {name: code, data_type: varchar}
          - {name: fee, data_type: 'decimal(18,4)'}
          - {name: currency, data_type: varchar, config: {meta: {constant: EUR}}}
          - {name: seen_at, data_type: timestamp}
"""
TABLES = """
drop schema if exists c cascade;
create schema c;
create table c."Bills 100%" ("Bill No" int primary key, "Due" numeric, is_credit boolean not null default false, currency char(4), "At" timestamp,
    changed timestamptz);
create table c.lines (bill int, line int, quantity int, price text, changed timestamptz, primary key (bill, line));
create table c.groups (code text, fee double precision);
"""
Row = tuple[str, str, str | None, str, str | None, str, str | None, str | None]


def declared(folder: Path, *tables: str) -> dict[str, Contract]:
    staging = folder / "models" / "staging"
    staging.mkdir(parents=True, exist_ok=True)
    (staging / "staging_all.yml").write_text("sources:\n  - name: bronze\n    tables:" + "".join(tables))
    return read_contracts(folder)


@pytest.fixture
def database(postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setenv("AIRFLOW_CONN_ERP", postgres)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(TABLES)
        yield connection
        connection.execute("drop schema c cascade")


def sweep(home: Home, contracts: dict[str, Contract], days: tuple[str, str] = DAYS, at: datetime = AT) -> Landing:
    return sources.sweep("erp", Window.parse(*days), home, at, contracts=contracts)


def counted(home: Home, landing: Landing) -> list[Row]:
    """Return dataset, date, currency, records, amount, records and amount that landed, and note of each count."""
    return [
        tuple(row.values())[1:-1]
        for manifest in landing.manifests
        if manifest.dataset == "source_counts"
        for path in bronze.parquet_files(home, manifest)
        for row in pq.read_table(path).to_pylist()
    ]


def test_a_sweep_counts_every_table_by_day_and_money_by_currency(
    database: Database, home: Home, tmp_path: Path
) -> None:
    database.execute("""
        insert into c."Bills 100%" values
            (1, 1.5, false, 'EUR', '2026-11-01 09:00', null), (2, 2.5, true, 'EUR', '2026-11-02 08:59:59', null),
            (3, 'NaN', false, 'EUR', '2026-11-01 10:00', null), (4, 12345678901234.5678, false, null, '2026-11-01 10:00', null),
            (5, 9, false, 'USD', '2026-11-02 09:00', '2026-11-01'), (6, 9, false, 'USD', '2026-11-01 08:59', '2026-11-01Z'),
            (7, 9, false, 'EUR', null, '2026-11-01'), (8, 9, false, 'EUR', 'infinity', '2026-11-01'),
            (9, 9, false, 'EUR', '2026-11-01 10:00 BC', '2026-11-01');
        insert into c.lines values (1, 1, 2, '0.25', null), (1, 2, -1, 'none', null), (1, 3, 1, '1e1', null), (5, 1, 3, '7', null),
            (8, 1, 1, '1', null), (99, 1, 1, '1', '2026-11-01Z');
        insert into c.groups values ('a', 0.1), ('b', 1e20), ('c', null);
    """)
    landing = sweep(home, declared(tmp_path, HEADS, LINES, GROUPS))
    assert counted(home, landing) == [
        ("bills", "2026-11-01", None, "1", "12345678901234.5678", "1", "12345678901234.5678", None),
        ("bills", "2026-11-01", "EUR", "3", "-1.0000", "3", "-1.0000", None),
        ("bills", "2026-11-02", "USD", "1", "9.0000", "1", "9.0000", None),
        ("bill_lines", "2026-11-01", "EUR", "3", "10.5000", "3", "10.5000", None),
        ("bill_lines", "2026-11-02", "USD", "1", "21.0000", "1", "21.0000", None),
        ("groups", "2026-11-01", "EUR", "3", "0.1000", "3", "0.1000", None),
    ]
    assert {one.snapshot_id for one in landing.manifests if one.dataset != "decisions"} == {
        landing.manifests[0].snapshot_id
    }
    again = sweep(home, declared(tmp_path, HEADS, LINES, GROUPS), at=AT + timedelta(hours=1))
    assert again.new == frozenset(), (
        "an equal count, also of a whole table whose rows do not land again, is no new batch"
    )


@pytest.mark.parametrize(
    ("dataset", "loss", "told"),
    [
        ("bills", 'delete from "Bills 100%" where "Bill No" = 1', [("bills", "2026-11-01", "EUR", "2", "3.0000", "1", "2.0000", None)]),
        ("groups", "delete from groups where code = 'a'", [("groups", "2026-11-01", "EUR", "2", "3.0000", "1", "2.0000", None)]),
        ("groups", "update groups set fee = 5 where code = 'a'", [("groups", "2026-11-01", "EUR", "2", "3.0000", "2", "7.0000", None)]),
    ],
)  # fmt: skip
def test_what_the_landing_loses_is_a_difference(
    database: Database, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: str, loss: str, told: list[Row]
) -> None:  # fmt: skip
    """The landing reads another table than the one that is counted: as if its own query were wrong."""
    database.execute("""
        insert into c."Bills 100%" values (1, 1, false, 'EUR', '2026-11-01 10:00', null), (2, 2, false, 'EUR', '2026-11-01 10:00', null);
        insert into c.groups values ('a', 1), ('b', 2);
        create schema wrong;
        create table wrong."Bills 100%" as select * from c."Bills 100%";
        create table wrong.groups as select * from c.groups;
        set search_path to wrong;
    """)
    database.execute(loss)  # type: ignore[call-overload]
    select = database_tables.selection

    def wrong(tables: Any, name: str, own: Any) -> str:
        return select(tables, name, own).replace('"c".', '"wrong".') if name == dataset else select(tables, name, own)

    monkeypatch.setattr(database_tables, "selection", wrong)
    rows = counted(home, sweep(home, declared(tmp_path, HEADS, GROUPS), ("2026-11-01", "2026-11-02")))
    assert [row for row in rows if row[0] == dataset] == told
    assert all(row[3:5] == row[5:7] for row in rows if row[0] != dataset)
    database.execute("drop schema wrong cascade")


def test_an_amount_that_only_duckdb_computes_is_told_and_the_rows_are_counted(
    database: Database, home: Home, tmp_path: Path
) -> None:
    database.execute("insert into c.groups values ('a', 1)")
    contracts = declared(tmp_path, GROUPS.replace("amount: fee", "amount: 'if(fee > 0, fee, 0)'"))
    landing = sweep(home, contracts)
    assert counted(home, landing) == [("groups", "2026-11-01", None, "1", None, "1", None, None)]
    (said,) = landing.messages
    assert said.startswith("the money of groups is not counted: Postgres cannot compute its `amount`: ")


@pytest.mark.parametrize(
    ("kind", "values", "total"),
    [
        ("bigint", (2**63 - 1, -(2**63), 10**14, 10**14 - 1), "99999999999999.0000"),
        ("integer", (2**31 - 1, -(2**31), None), "-1.0000"),
        ("smallint", (32767, -32768, 3), "2.0000"),
        ("numeric", ("NaN", "Infinity", "-Infinity", "99999999999999.99995", "99999999999999.99994", "-0.00005"), "99999999999999.9998"),
        ("numeric(30, 10)", ("12345678901234567890.1", "0.12345"), "0.1235"),
        ("double precision", ("0.1", "1e20", "NaN", "-Infinity"), "0.1000"),
        ("varchar", ("1e1", " 1", "0x10", "1_000", "NaN", ".5", "5."), "15.5000"),
    ],
)  # fmt: skip
def test_both_counts_take_the_same_values_for_money_whatever_the_type_at_the_source(
    database: Database, home: Home, tmp_path: Path, kind: str, values: tuple[object, ...], total: str
) -> None:
    database.execute(f"alter table c.groups alter fee type {kind} using null")  # type: ignore[call-overload]
    for place, value in enumerate(values):
        database.execute("insert into c.groups values (%s, %s)", (str(place), value))
    landing = sweep(home, declared(tmp_path, GROUPS))
    records = str(len(values))
    assert counted(home, landing) == [("groups", "2026-11-01", "EUR", records, total, records, total, None)]


@pytest.mark.parametrize("amount", ["fee / 3", "sqrt(fee)", "cast(fee as double)"])
def test_an_amount_that_is_not_exact_is_not_summed(database: Database, home: Home, tmp_path: Path, amount: str) -> None:
    database.execute("insert into c.groups values ('a', 1)")
    landing = sweep(home, declared(tmp_path, GROUPS.replace("amount: fee", f"amount: '{amount}'")))
    assert counted(home, landing) == [("groups", "2026-11-01", None, "1", None, "1", None, None)]
    assert landing.messages == ()


def test_a_table_that_lands_with_rows_that_do_not_own_it_is_not_counted(
    database: Database, home: Home, tmp_path: Path
) -> None:
    groups = GROUPS.replace("table: c.groups", "query: 'select *, now() as seen_at from c.groups'").replace(
        "key: [code]", "key: [code], lands_with: {dataset: bills, column: code, matches: currency}"
    )
    landing = sweep(home, declared(tmp_path, HEADS, groups))
    assert {row[0] for row in counted(home, landing)} == {"bills"}


Bill = tuple[datetime | None, str | None, str, bool]
Line = tuple[int, int, str]
numbers = st.decimals(-(10**9), 10**9, places=4).map(str) | st.sampled_from(
    ["NaN", "Infinity", "0", "1.23456", "-0.00005"]
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bills=st.lists(
        st.tuples(
            st.none() | st.datetimes(datetime(2026, 10, 31), datetime(2026, 11, 4)),
            st.sampled_from([None, "EUR", "USD", "eur"]),
            numbers,
            st.booleans(),
        ),
        max_size=8,
    ),
    lines=st.lists(st.tuples(st.integers(0, 9), st.integers(-3, 3), numbers | st.just("n/a")), max_size=8),
)
def test_both_counts_are_those_of_plain_python(
    database: Database,
    home: Home,
    tmp_path_factory: pytest.TempPathFactory,
    bills: Sequence[Bill],
    lines: Sequence[Line],
) -> None:
    root = tmp_path_factory.mktemp("any")
    database.execute('truncate c."Bills 100%", c.lines')
    for number, (at, currency, due, is_credit) in enumerate(bills):
        database.execute(
            'insert into c."Bills 100%%" values (%s, %s, %s, %s, %s, null)', (number, due, is_credit, currency, at)
        )
    for place, (bill, quantity, price) in enumerate(lines):
        database.execute("insert into c.lines values (%s, %s, %s, %s, null)", (bill, place, quantity, price))
    own = Home(root / "home", home.landing)
    found = counted(own, sweep(own, declared(root, HEADS, LINES)))
    expected: dict[tuple[str, str, str | None], tuple[int, Decimal]] = {}

    def add(dataset: str, bill: Bill, amount: Decimal | None) -> None:
        if not bill[0]:
            return
        day = (bill[0] - timedelta(hours=9)).date().isoformat()
        if DAYS[0] <= day < DAYS[1]:
            records, total = expected.get((dataset, day, bill[1]), (0, Decimal(0)))
            expected[dataset, day, bill[1]] = (records + 1, total + (amount or 0))

    for one in bills:
        due = money(one[2])
        add("bills", one, -due if one[3] and due is not None else due)
    for bill, quantity, price in lines:
        if bill < len(bills):
            amount = money(price)
            add("bill_lines", bills[bill], None if amount is None else quantity * amount)
    assert {row[:3]: row[3:] for row in found if row[3] != "0"} == {
        key: (str(records), f"{total:.4f}", str(records), f"{total:.4f}", None)
        for key, (records, total) in expected.items()
    }


def money(text: str) -> Decimal | None:
    """Return an amount with four decimals, rounded half up; None for what is no number."""
    try:
        value = Decimal(text)
    except ArithmeticError:
        return None
    return value.quantize(Decimal("0.0001"), "ROUND_HALF_UP") if value.is_finite() else None
