"""The queries of declared tables, run by a real Postgres and compared with plain Python."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.contract import Contract, read_contracts
from ingestion.errors import Permanent
from ingestion.sources.database_rows import array, window_values
from ingestion.sources.table_queries import OpenTable, open_table, selection
from ingestion.window import Window

Declare = Callable[..., dict[str, OpenTable]]
DATASET = """
      - name: {name}
        config: {{meta: {{contract_version: 1, source: erp, format: rows, connection: erp, {how}, key: [{key}], {version}
                 cadence: 1 hour, lateness: 2 days, owner: finance}}}}
        columns: [{columns}]
"""


def contract_of(name: str, how: str, key: str, columns: str, version: str = "") -> str:
    fields = ", ".join(
        f"{{name: {one.split('=')[0]}, data_type: varchar, config: {{meta: {{from: '{one.split('=')[-1]}'}}}}}}"
        for one in columns.split("; ")
    )
    text = f"version_column: {version}," if version else ""
    return DATASET.format(name=name, how=how, key=key, columns=fields, version=text)


@pytest.fixture
def database(postgres: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("drop schema if exists q cascade; create schema q; set timezone to 'UTC'")
        yield connection


@pytest.fixture
def declare(database: psycopg.Connection[Any], tmp_path: Path) -> Declare:
    def opened(*texts: str) -> dict[str, OpenTable]:
        staging = tmp_path / "models" / "staging"
        staging.mkdir(parents=True, exist_ok=True)
        (staging / "staging_all.yml").write_text("sources:\n  - name: bronze\n    tables:" + "".join(texts))
        contracts: dict[str, Contract] = read_contracts(tmp_path)
        return {name: open_table(database, one) for name, one in contracts.items()}

    return opened


DAY = Window.parse("2026-11-01", "2026-11-02")
times = (
    st.none()
    | st.datetimes(datetime(2026, 10, 30), datetime(2026, 11, 3))
    | st.sampled_from(
        [datetime(2026, 10, 31, 23), datetime(2026, 11, 1), datetime(2026, 11, 2), datetime(2026, 10, 31, 22, 59, 59)]
    )
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    heads=st.dictionaries(st.integers(1, 9), st.tuples(times, times)),
    lines=st.lists(st.tuples(st.integers(1, 9), times)),
)
def test_a_selection_is_the_rows_of_the_window_and_those_that_land_with_them(
    database: psycopg.Connection[Any], declare: Declare, heads: Any, lines: Any
) -> None:
    database.execute(
        "drop table if exists q.heads; create table q.heads (id int, placed timestamp, changed timestamptz, who int);"
        "drop table if exists q.lines; create table q.lines (head int, at date);"
        "drop table if exists q.people; create table q.people (id int, v int);"
        "drop table if exists q.notes; create table q.notes (head int, at date)"
    )
    for number, (placed, changed) in heads.items():
        database.execute("insert into q.heads values (%s, %s, %s, %s)", (number, placed, changed, number % 3))
    for head, at in lines:
        database.execute("insert into q.lines values (%s, %s)", (head, at and at.date()))
    database.execute("insert into q.people values (0), (1), (2)")
    database.execute("insert into q.notes select n, date '2026-11-01' + n % 2 from generate_series(1, 9) as n")
    tables = declare(
        contract_of("heads", "table: q.heads, placed: placed, changed: changed_at", "head_id", "head_id=id; changed_at=changed", "changed_at"),
        contract_of("lines", "table: q.lines, placed: at, lands_with: {dataset: heads, column: head}", "head", "head=head; v=at", "v"),
        contract_of("people", "table: q.people, lands_with: {dataset: heads, column: person, matches: head_id}", "person", "person=id; v=v", "v"),
        contract_of("notes", "table: q.notes, placed: at, lands_with: {dataset: lines, column: head, matches: head}", "head", "head=head; v=at", "v"),
    )  # fmt: skip
    utc = lambda at: at and at.replace(tzinfo=UTC)  # noqa: E731
    overlap = DAY.start - timedelta(hours=1)
    chosen = {
        number
        for number, (placed, changed) in heads.items()
        if (placed and DAY.start <= utc(placed) < DAY.end) or (changed and overlap <= utc(changed) < DAY.end)
    }

    def select(name: str) -> list[Any]:
        query = selection(tables, name, OpenTable.in_window)
        return sorted(row[0] for row in database.execute(query, window_values(DAY)).fetchall())

    assert select("heads") == sorted(chosen)
    assert select("lines") == sorted(head for head, at in lines if head in chosen or (at and at.date() == DAY.date))
    assert select("people") == sorted({0, 1, 2} & chosen)
    # a note is selected once, however often its line is
    of_the_day = {number for number in range(1, 10) if number % 2 == 0}
    assert select("notes") == sorted(of_the_day | {*select("lines")})


@pytest.mark.parametrize(
    "type", ["text", "text[]", "int", "uuid", "char(4)", "numeric", "q.mood", "timestamptz", "bytea", "boolean"]
)
def test_keys_of_any_type_are_found_by_their_text(
    database: psycopg.Connection[Any], declare: Declare, type: str
) -> None:
    database.execute("create type q.mood as enum ('so so', 'a \"b\", {c}\\')")
    texts = {
        "int": ["1", "-5"], "text[]": ["{}", "{a,b}", '{"c,\\"",NULL}'], "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"], "numeric": ["1.50", "NaN"], "boolean": ["t"],
        "q.mood": ["so so", 'a "b", {c}\\'], "timestamptz": ["2026-11-01 00:00:00+00"], "bytea": ["\\x00ff"],
    }.get(type, ["a", "'", '"', "{}", "a,b"])  # fmt: skip
    database.execute(f"create table q.keys (k {type}, other int)")  # type: ignore[call-overload]
    for text in [*texts, *texts]:
        database.execute(f"insert into q.keys values (%s::{type}, 1)", (text,))  # type: ignore[call-overload]
    database.execute("insert into q.keys values (null, 1)")
    (table,) = declare(contract_of("keys", "query: 'select k, now() as v from q.keys'", "k", "k=k; v=v", "v")).values()
    values = {name: array(one) for name, one in table.key_values([(text,) for text in texts]).items()}
    query = f"select count(*) from {table.sql} as clearwell_rows where {table.by_key()}"
    assert database.execute(query, values).fetchone() == (2 * len(texts),)
    nothing = {name: array(one) for name, one in table.key_values([]).items()}
    assert database.execute(query, nothing).fetchone() == (0,)


@pytest.mark.parametrize(
    ("ddl", "is_unique"),
    [
        ("primary key (a, b)", True),
        ("primary key (a)", True),
        ("primary key (a, b, c)", False),
        ("unique (a)", False),
        ("unique (c)", False),
    ],
)
def test_a_key_is_unique_if_an_index_of_its_columns_says_so(
    database: psycopg.Connection[Any], declare: Declare, ddl: str, is_unique: bool
) -> None:
    database.execute(f'create table q."T%" (a int, b int, c int not null, {ddl})')  # type: ignore[call-overload]
    (table,) = declare(contract_of("t", "table: q.T%", "a, b", "a=a; b=B; v=v", "v")).values()
    assert table.is_unique is is_unique
    assert table.key == ["a", "b"], "a name that differs by its case alone is meant"


def test_rows_of_tables_that_inherit_are_not_in_the_index(database: psycopg.Connection[Any], declare: Declare) -> None:
    database.execute("create table q.t (a int primary key); create table q.more () inherits (q.t)")
    database.execute(
        "create table q.parts (a int primary key) partition by list (a); create table q.part partition of q.parts default"
    )
    names = {"t": "q.t", "parts": "q.parts", "part": "q.part"}
    tables = declare(*(contract_of(name, f"table: {table}", "a", "a=a; v=v", "v") for name, table in names.items()))
    assert {name: table.is_unique for name, table in tables.items()} == {"t": False, "parts": True, "part": True}


def test_two_columns_of_one_name_are_refused(database: psycopg.Connection[Any], declare: Declare) -> None:
    with pytest.raises(Permanent, match="two columns a"):
        declare(contract_of("t", "query: 'select 1 as a, 2 as a'", "a", "a=a; v=v", "v"))


BERLIN = """
      - name: local
        config: {meta: {contract_version: 1, source: erp, format: rows, connection: erp, table: q.local, placed: at_time, changed: seen,
                 key: [id], version_column: at_time, cadence: 1 hour, lateness: 2 days, owner: finance}}
        columns:
          - {name: id, data_type: bigint}
          - {name: at_time, data_type: timestamp, config: {meta: {from: at, timezone: Europe/Berlin}}}
"""


def test_a_time_without_a_zone_is_of_the_zone_in_the_contract(
    database: psycopg.Connection[Any], declare: Declare
) -> None:
    """Each hour of the night in which clocks go back, and around the window's ends."""
    zone, start = ZoneInfo("Europe/Berlin"), datetime(2026, 10, 24, 20)
    database.execute("create table q.local (id int, at timestamp, seen timestamptz)")
    hours = [start + timedelta(minutes=30 * number) for number in range(100)]
    for number, at in enumerate(hours):
        database.execute("insert into q.local values (%s, %s, null)", (number, at))
    (table,) = declare(BERLIN).values()
    window = Window.parse("2026-10-25T00:00", "2026-10-25T06:00")
    query = selection({"local": table}, "local", OpenTable.in_window)
    found = {row[0] for row in database.execute(query, window_values(window)).fetchall()}
    # a time that the clock shows twice is the later one
    meant = {number: at.replace(tzinfo=zone, fold=1).astimezone(UTC) for number, at in enumerate(hours)}
    assert found == {number for number, at in meant.items() if window.start <= at < window.end}
    assert len(found) == 10


@pytest.mark.parametrize(("source", "declared"), [("text", "bigint"), ("numeric", "bigint"), ("timestamp", "date")])
def test_a_key_that_the_state_would_write_otherwise_is_refused(
    database: psycopg.Connection[Any], declare: Declare, source: str, declared: str
) -> None:
    database.execute(f"create table q.keys (k {source}, v timestamp)")  # type: ignore[call-overload]
    text = contract_of("keys", "table: q.keys", "k", "k=k; v=v", "v")
    with pytest.raises(Permanent, match="make it varchar"):
        declare(text.replace("name: k, data_type: varchar", f"name: k, data_type: {declared}"))


@pytest.mark.parametrize("read", ["event_time: placed, version_column: placed", "version_column: placed"])
def test_a_date_is_no_time_of_a_record(database: psycopg.Connection[Any], declare: Declare, read: str) -> None:
    database.execute("create table q.rows (a text, day date)")
    text = contract_of("rows", f"table: q.rows, {read}", "a", "a; placed=day").replace(
        "name: placed, data_type: varchar", "name: placed, data_type: timestamp"
    )
    with pytest.raises(Permanent, match='convert it in a `query`, by "day"::timestamp'):
        declare(text)
    converted = text.replace("table: q.rows", "query: 'select a, day::timestamp from q.rows'")
    assert declare(converted)["rows"].types["day"] == "timestamp without time zone"
