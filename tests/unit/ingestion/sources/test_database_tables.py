"""Tables, views and queries of a real Postgres, with ugly names, and with no more declared than a contract says."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest

from ingestion import bronze, sources
from ingestion.contract import Contract, read_contracts
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.land import Landing
from ingestion.manifest import Manifest
from ingestion.sources import database_tables
from ingestion.sources.known import known
from ingestion.window import Window

Database = psycopg.Connection[Any]
AT = datetime(2100, 1, 1, tzinfo=UTC)
DAY = ("2026-11-01", "2026-11-02")
INVOICES = """
      - name: invoices
        config: {meta: {contract_version: 1, source: erp, format: rows, connection: erp, table: 'Sales Dept.Invoice Heads',
                 placed: created, changed: updated_at, key: [invoice_id], version_column: updated_at, event_time: created_at,
                 cadence: 1 hour, lateness: 2 days, owner: finance}}
        columns:
          - {name: invoice_id, data_type: varchar, config: {meta: {from: 'Invoice No'}}}
          - {name: amount, data_type: 'decimal(18,4)', config: {meta: {from: '100% Amount'}}}
          - {name: created_at, data_type: timestamp, config: {meta: {from: created}}}
          - {name: updated_at, data_type: timestamp, config: {meta: {from: Changed At}}}
"""
LINES = """
      - name: lines
        config: {meta: {contract_version: 1, source: erp, format: rows, connection: erp, table: 'Sales Dept.lines',
                 changed: updated_at, lands_with: {dataset: invoices, column: invoice_id}, key: [invoice_id, line],
                 version_column: updated_at, cadence: 1 hour, lateness: 2 days, owner: finance}}
        columns:
          - {name: invoice_id, data_type: varchar, config: {meta: {from: Invoice}}}
          - {name: line, data_type: bigint}
          - {name: updated_at, data_type: timestamp}
"""
RATES = """
      - name: rates
        config: {meta: {contract_version: 1, source: erp, format: rows, connection: erp, query: "select code, rate * 100 as rate from rates where code <> 'X;%'",
                 key: [code], version_column: seen_at, cadence: 1 hour, lateness: 2 days, owner: finance}}
        columns:
          - {name: code, data_type: varchar}
          - {name: rate, data_type: 'decimal(18,4)'}
          - {name: seen_at, data_type: timestamp}
"""
TABLES = """
drop schema if exists "Sales Dept" cascade;
drop table if exists rates;
create schema "Sales Dept";
create table "Sales Dept"."Invoice Heads" ("Invoice No" bigint primary key, "100% Amount" numeric, created timestamp, "Changed At" timestamptz,
    is_deleted text default 'theirs');
create table "Sales Dept".lines ("Invoice" bigint, line int, updated_at timestamptz, note text);
create table rates (code text, rate numeric);
"""


def declared(folder: Path, *tables: str) -> dict[str, Contract]:
    staging = folder / "models" / "staging"
    staging.mkdir(parents=True, exist_ok=True)
    (staging / "staging_all.yml").write_text("sources:\n  - name: bronze\n    tables:" + "".join(tables))
    return read_contracts(folder)


@pytest.fixture
def database(postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setenv("AIRFLOW_CONN_ERP", postgres)
    monkeypatch.delenv("CLEARWELL_SOURCES", raising=False)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(TABLES)
        yield connection


class Erp:
    """A source and the home that it lands in. Each landing is later than the one before."""

    def __init__(self, home: Home, contracts: dict[str, Contract]) -> None:
        self.home, self.contracts, self.at = home, contracts, AT

    def land(self, start: str, end: str, *, sweep: bool = False) -> Landing:
        self.at += timedelta(minutes=1)
        do = sources.sweep if sweep else sources.ingest
        return do("erp", Window.parse(start, end), self.home, self.at, contracts=self.contracts)

    def rows(self, manifest: Manifest) -> list[dict[str, Any]]:
        bronze.verify(self.home, manifest)
        paths = bronze.parquet_files(self.home, manifest)
        rows = [row for path in paths for row in pq.read_table(path).to_pylist()]
        assert len(rows) == manifest.records_written
        return rows

    def of(self, landing: Landing, dataset: str, part: str = "") -> list[dict[str, Any]]:
        found = [one for one in landing.manifests if (one.dataset, one.part) == (dataset, part)]
        return [row for one in found if one.window == landing.window for row in self.rows(one)]

    def standing(self, dataset: str) -> dict[tuple[str, ...], str | None]:
        """Return the keys that Clearwell takes to be at the source, with their versions."""
        with known(self.home) as held, held.open():
            return {one.key: one.version for one in held.standing(self.contracts[dataset], here=[])}


@pytest.fixture
def erp(home: Home, tmp_path: Path) -> Erp:
    return Erp(home, declared(tmp_path, INVOICES, LINES, RATES))


def invoice(database: Database, number: int, created: str | None, changed: str | None, amount: str = "1") -> None:
    database.execute(
        'insert into "Sales Dept"."Invoice Heads" values (%s, %s, %s, %s)', (number, amount, created, changed)
    )


def line(database: Database, number: int, place: int, updated: str | None = None) -> None:
    database.execute('insert into "Sales Dept".lines values (%s, %s, %s)', (number, place, updated))


def test_a_window_holds_what_was_placed_or_changed_in_it_and_what_lands_with_that(database: Database, erp: Erp) -> None:
    invoice(database, 1, "2026-11-01 00:00", None)
    invoice(database, 2, "2026-11-02 00:00", "2026-11-02 00:00Z")
    invoice(database, 3, "2026-10-01", "2026-10-31 23:00Z", "NaN")
    invoice(database, 4, "2026-10-01", "2026-10-31 22:59Z")
    line(database, 1, 1)
    line(database, 2, 1)
    line(database, 4, 1, "2026-11-01 12:00Z")
    line(database, 99, 1, "2026-11-01 12:00Z")
    landing = erp.land(*DAY)
    found = erp.of(landing, "invoices")
    assert [row["Invoice No"] for row in found] == ["1", "3"]
    assert (found[1]["100% Amount"], found[0]["created"], found[0]["is_deleted_2"]) == (
        "NaN",
        "2026-11-01 00:00:00",
        "theirs",
    )
    assert [(row["Invoice"], row["line"]) for row in erp.of(landing, "lines")] == [("1", "1"), ("4", "1"), ("99", "1")]
    assert len({one.snapshot_id for one in landing.manifests}) == 1
    assert {one.dataset for one in landing.manifests} == {"invoices", "lines", "rates"}


def test_landing_again_is_the_same_batches(database: Database, erp: Erp) -> None:
    for number in range(20):
        invoice(database, number, "2026-11-01", None)
        line(database, number, 1)
        line(database, number, 1)  # two rows of one key: without a primary key, the whole row decides the order
    database.execute("insert into rates values ('EUR', 1), ('USD', 2)")
    first = erp.land(*DAY)
    database.execute('create table again as select * from "Sales Dept".lines order by random()')
    database.execute('truncate "Sales Dept".lines')
    database.execute('insert into "Sales Dept".lines select * from again')
    database.execute("drop table again")
    second = erp.land(*DAY)
    assert len(first.new) == 3
    assert second.new == frozenset()
    assert second.manifests == first.manifests
    assert list(erp.home.staging.iterdir()) == []


def test_a_killed_landing_is_completed_by_the_next(
    database: Database, erp: Erp, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoice(database, 1, "2026-11-01", None)
    line(database, 1, 1)
    database.execute("insert into rates values ('EUR', 1)")
    commit, left = bronze.commit, 1

    def killed(*arguments: Any) -> Any:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        return commit(*arguments)

    whole = Erp(Home(erp.home.root.with_name("whole"), erp.home.landing), erp.contracts)
    expected = {one.batch_id for one in whole.land(*DAY).manifests}
    for number in range(4):
        left = number % 3
        with monkeypatch.context() as patched:
            patched.setattr(bronze, "commit", killed)
            with pytest.raises(KeyboardInterrupt):
                erp.land(*DAY)
    assert {one.batch_id for one in erp.land(*DAY).manifests} == expected
    assert {one.batch_id for one in bronze.committed(erp.home)} == expected


def test_rows_committed_late_land_with_a_later_window(database: Database, erp: Erp) -> None:
    invoice(database, 1, "2026-11-01 05:10", "2026-11-01 05:10Z")
    line(database, 1, 1, "2026-11-01 05:10Z")
    erp.land("2026-11-01T05:00", "2026-11-01T06:00")
    invoice(database, 2, "2026-11-01 05:20", "2026-11-01 05:20Z")
    line(database, 2, 1, None)
    line(database, 1, 2, "2026-11-01 05:30Z")
    line(database, 99, 1, "2026-11-01 05:30Z")
    later = erp.land("2026-11-01T08:00", "2026-11-01T09:00")
    assert [row["Invoice No"] for row in erp.of(later, "invoices", "missed")] == ["1", "2"]
    assert [(row["Invoice"], row["line"]) for row in erp.of(later, "lines", "missed")] == [
        ("1", "1"),
        ("1", "2"),
        ("2", "1"),
        ("99", "1"),
    ]
    assert {one.part for one in erp.land("2026-11-01T09:00", "2026-11-01T10:00").manifests} == {""}


def test_a_line_that_is_gone_from_a_landed_owner_becomes_a_deletion_and_may_return(
    database: Database, erp: Erp
) -> None:
    invoice(database, 1, "2026-11-01 05:10", "2026-11-01 05:10Z")
    for place in (1, 2):
        line(database, 1, place, "2026-11-01 05:10Z")
    erp.land(*DAY)
    database.execute('delete from "Sales Dept".lines where line = 2')
    second = erp.land(*DAY)
    assert erp.of(second, "lines", "gone") == [
        {
            "Invoice": "1",
            "line": "2",
            "updated_at": "2026-11-01 05:10:00.000000+00",
            "is_deleted": True,
            "record_no": 1,
        }
    ]
    assert second.messages == ("1 rows of lines are gone from Sales Dept.lines: 1 2",)
    assert set(erp.standing("lines")) == {("1", "1")}
    assert erp.land(*DAY).new == frozenset(), "a known deletion is not repeated"
    line(database, 1, 2, "2026-11-01 05:10Z")
    returned = erp.land(*DAY)
    assert [one.dataset for one in returned.manifests if one.batch_id in returned.new] == ["decisions"]


def test_a_line_that_outlives_its_owner_is_not_gone(database: Database, erp: Erp) -> None:
    """Without a foreign key, only the owner may be deleted. The lines do not land with it any more."""
    invoice(database, 1, "2026-11-01 05:10", "2026-11-01 05:10Z")
    line(database, 1, 1)
    line(database, 1, 2)
    erp.land(*DAY)
    database.execute('delete from "Sales Dept"."Invoice Heads"; delete from "Sales Dept".lines where line = 2')
    swept = erp.land(*DAY, sweep=True)
    assert [row["Invoice No"] for row in erp.of(swept, "invoices", "gone")] == ["1"]
    assert [row["line"] for row in erp.of(swept, "lines", "gone")] == ["2"]
    assert (set(erp.standing("invoices")), set(erp.standing("lines"))) == (set(), {("1", "1")})


def test_a_sweep_finds_what_is_gone_from_its_days_and_what_moved_away(database: Database, erp: Erp) -> None:
    for number in (1, 2, 3):
        invoice(database, number, "2026-11-01 05:10", "2026-11-01 05:10Z")
        line(database, number, 1, "2026-11-01 05:10Z")
    invoice(database, 4, None, None)
    erp.land(*DAY)
    database.execute('delete from "Sales Dept"."Invoice Heads" where "Invoice No" = 1')
    database.execute('delete from "Sales Dept".lines where "Invoice" = 1')
    database.execute(
        """update "Sales Dept"."Invoice Heads" set created = '2026-12-24', "Changed At" = '2026-12-24Z' where "Invoice No" = 2"""
    )
    swept = erp.land(*DAY, sweep=True)
    assert [row["Invoice No"] for row in erp.of(swept, "invoices", "gone")] == ["1"]
    assert [row["Invoice"] for row in erp.of(swept, "lines", "gone")] == ["1"]
    assert [row["Invoice No"] for row in erp.of(swept, "invoices", "missed")] == ["2"]
    assert swept.messages[-1].startswith("1 rows of Sales Dept.Invoice Heads have no created and updated_at")
    assert erp.land(*DAY, sweep=True).new == frozenset()


def test_a_whole_table_lands_again_when_its_content_differs(database: Database, erp: Erp) -> None:
    def rate(code: str) -> list[str]:
        return [row["rate"] for row in found if row["code"] == code]

    database.execute("insert into rates values ('EUR', 1), ('USD', 2), ('X;%', 3)")
    found = erp.of(erp.land("2026-11-01T00:00", "2026-11-01T01:00"), "rates")
    assert (rate("EUR"), rate("USD"), len(found)) == (["100"], ["200"], 2)
    first_seen = found[0]["seen_at"]
    same = erp.land("2026-11-01T01:00", "2026-11-01T02:00")
    (unchanged,) = [one for one in same.manifests if one.dataset == "rates" and one.window == same.window]
    assert (unchanged.records_written, unchanged.whole and unchanged.whole.records) == (0, 2)
    assert erp.land("2026-11-01T01:00", "2026-11-01T02:00").new == frozenset()
    assert erp.land("2026-11-01T00:00", "2026-11-01T01:00").new == frozenset(), "the first window still holds it"
    database.execute("update rates set rate = 3 where code = 'USD'")
    database.execute("delete from rates where code = 'EUR'")
    changed = erp.land("2026-11-01T02:00", "2026-11-01T03:00")
    found = erp.of(changed, "rates")
    assert (rate("USD"), rate("EUR")) == (["300"], [])
    assert found[0]["seen_at"] > first_seen
    assert [row["code"] for row in erp.of(changed, "rates", "gone")] == ["EUR"]
    assert erp.standing("rates").keys() == {("USD",)}
    database.execute("update rates set rate = 2 where code = 'USD'")
    database.execute("insert into rates values ('EUR', 1)")
    back = erp.land("2026-11-01T02:00", "2026-11-01T03:00")
    assert len(erp.of(back, "rates")) == 2, "an earlier content that returns lands again, as the latest"
    assert erp.standing("rates").keys() == {("USD",), ("EUR",)}
    database.execute("truncate rates")
    assert {row["code"] for row in erp.of(erp.land("2026-11-01T03:00", "2026-11-01T04:00"), "rates", "gone")} == {
        "EUR",
        "USD",
    }
    assert erp.standing("rates") == {}
    database.execute("insert into rates values ('EUR', 1), ('USD', 2)")
    assert len(erp.of(erp.land("2026-11-01T04:00", "2026-11-01T05:00"), "rates")) == 2
    assert erp.standing("rates").keys() == {("USD",), ("EUR",)}


def test_a_content_that_returns_within_a_window_is_the_latest_again(database: Database, erp: Erp) -> None:
    seen = []
    for rate in (1, 2, 1, 1):
        database.execute("truncate rates")
        database.execute("insert into rates values ('EUR', %s)", (rate,))
        landing = erp.land("2026-11-01T00:00", "2026-11-01T01:00")
        (row,) = erp.of(landing, "rates")
        seen.append((row["rate"], row["seen_at"]))
    assert [rate for rate, _ in seen] == ["100", "200", "100", "100"]
    assert seen[0][1] < seen[1][1] < seen[2][1] == seen[3][1]


def test_a_whole_table_whose_last_batch_is_damaged_lands_again(database: Database, erp: Erp) -> None:
    database.execute("insert into rates values ('EUR', 1)")
    landing = erp.land("2026-11-01T00:00", "2026-11-01T01:00")
    (manifest,) = [one for one in landing.manifests if one.dataset == "rates"]
    Path(bronze.parquet_files(erp.home, manifest)[0]).write_bytes(b"")
    again = erp.land("2026-11-01T01:00", "2026-11-01T02:00")
    assert len(erp.of(again, "rates")) == 1


def test_views_and_partitioned_tables_are_tables(database: Database, home: Home, tmp_path: Path) -> None:
    database.execute(
        """create table "Sales Dept".p (id int, day date not null, primary key (id, day)) partition by range (day);
        create table "Sales Dept".p1 partition of "Sales Dept".p for values from ('2026-11-01') to ('2026-11-02');
        create table "Sales Dept".p2 partition of "Sales Dept".p for values from ('2026-11-02') to ('2026-11-03');
        insert into "Sales Dept".p values (1, '2026-11-01'), (2, '2026-11-02');
        create view "Sales Dept"."V.1" as select id, day from "Sales Dept".p where id < 9"""
    )
    table = """
      - name: {name}
        config: {{meta: {{contract_version: 1, source: erp, format: rows, connection: erp, table: '{table}', placed: Day,
                 key: [id], cadence: 1 hour, lateness: 2 days, owner: finance}}}}
        columns: [{{name: id, data_type: bigint}}, {{name: day, data_type: date}}]
"""
    contracts = declared(
        tmp_path,
        table.format(name="parts", table="Sales Dept.p"),
        table.format(name="seen", table='Sales Dept."V.1"'),
    )
    erp = Erp(home, contracts)
    landing = erp.land(*DAY)
    assert [row["id"] for row in erp.of(landing, "parts")] == ["1"]
    assert [row["id"] for row in erp.of(landing, "seen")] == ["1"]


def test_the_contracts_of_the_page_about_tables_land(database: Database, home: Home, tmp_path: Path) -> None:
    page = (Path(__file__).parents[4] / "docs" / "tables.md").read_text()
    (yaml,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    database.execute(
        """drop schema if exists sales cascade;
        create schema sales;
        create table sales."Invoice Heads" ("Invoice No" int primary key, "Total (net)" numeric, created_at timestamp, updated_at timestamp);
        create table sales.lines (invoice_id int, line_number int);
        create table sales.price_groups (group_id text, discount numeric);
        insert into sales."Invoice Heads" values (1, 9.5, '2026-11-01', '2026-11-01'), (2, 9.5, '2026-11-03', '2026-11-03');
        insert into sales.lines values (1, 1), (1, 2), (2, 1);
        insert into sales.price_groups values ('g', 0.1);"""
    )
    erp = Erp(home, declared(tmp_path, yaml.split("tables:", 1)[1]))
    assert sources.check("erp", home, erp.contracts) == []
    landing = erp.land(*DAY)
    assert {one.dataset: one.records_written for one in landing.manifests} == {
        "invoices": 1,
        "invoice_lines": 2,
        "price_groups": 1,
    }
    database.execute("drop schema sales cascade")


@pytest.mark.parametrize(
    ("ruin", "said"),
    [
        ('drop schema "Sales Dept" cascade', "AIRFLOW_CONN_ERP"),
        ('alter table "Sales Dept"."Invoice Heads" rename "Invoice No" to "Invoice Nr"', "did you mean Invoice Nr"),
        ('alter table "Sales Dept"."Invoice Heads" rename "Changed At" to x', "has no column Changed At"),
        ('alter table "Sales Dept"."Invoice Heads" alter created type text', "has created as text"),
        ('alter table "Sales Dept".lines rename "Invoice" to x', "has no column Invoice"),
        ("alter table rates rename rate to x", 'column "rate" does not exist'),
    ],
)
def test_what_does_not_fit_is_one_problem_and_an_error_that_names_it(
    database: Database, erp: Erp, ruin: str, said: str
) -> None:
    assert database_tables.check("erp", list(erp.contracts.values()), erp.home) == []
    database.execute(ruin)  # type: ignore[call-overload]
    problems = database_tables.check("erp", list(erp.contracts.values()), erp.home)
    assert any(said in f"{one.what} {one.todo}" for one in problems)
    with pytest.raises(Permanent) as refused:
        erp.land(*DAY)
    assert said in str(refused.value)
    assert bronze.list_batches(erp.home) == []


def test_a_user_who_may_not_read_a_table_is_a_problem(
    database: Database, erp: Erp, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute("create role nobody login")
    try:
        monkeypatch.setenv("AIRFLOW_CONN_ERP", postgres.replace("//postgres@", "//nobody@"))
        database.execute('grant usage on schema "Sales Dept" to nobody')
        database.execute('grant select on "Sales Dept"."Invoice Heads" to nobody')
        database.execute('alter table "Sales Dept"."Invoice Heads" enable row level security')
        problems = database_tables.check("erp", list(erp.contracts.values()), erp.home)
        told = {one.dataset: f"{one.what} {one.todo}" for one in problems}
        assert "row-level security" in told["invoices"] and "BYPASSRLS" in told["invoices"]
        assert "permission denied" in told["lines"] and "grant the user `select`" in told["rates"]
    finally:
        database.execute("drop owned by nobody")
        database.execute("drop role nobody")


def test_times_that_no_window_holds_are_told_and_are_not_the_newest(database: Database, erp: Erp) -> None:
    for number, (created, changed) in enumerate([
        ("infinity", None), ("0044-03-15 BC", "infinity"), ("-infinity", "-infinity"), (None, "12026-01-01Z"),
        ("2026-11-01", "infinity"), ("infinity", "2026-11-01Z"), ("0001-01-01", None),
    ]):  # fmt: skip
        invoice(database, number, created, changed)
    landing = erp.land(*DAY, sweep=True)
    assert [row["Invoice No"] for row in erp.of(landing, "invoices")] == ["4", "5"]
    told = "4 rows of Sales Dept.Invoice Heads have no created and updated_at in the years 1 to 9999"
    assert any(one.startswith(told) for one in landing.messages)
    assert database_tables.newest(erp.contracts["invoices"], erp.home) == datetime(2026, 11, 1, tzinfo=UTC)


def test_a_table_begins_with_its_first_row_in_the_zone_of_its_times(database: Database, erp: Erp) -> None:
    invoices = erp.contracts["invoices"]
    there = Window.parse("2026-11-01", "2026-11-02")
    assert database_tables.begins(invoices, erp.home, there) is None
    database.execute(
        """insert into "Sales Dept"."Invoice Heads" values (1, 1, '2026-11-02 00:30', null), (2, 1, '-infinity', null),
        (3, 1, '2026-11-03 10:00', null)"""
    )
    assert database_tables.begins(invoices, erp.home, there) == datetime(2026, 11, 2, 0, 30, tzinfo=UTC)
    columns = tuple(replace(one, timezone="Europe/Berlin") for one in invoices.columns)
    in_berlin = replace(invoices, columns=columns)
    assert database_tables.begins(in_berlin, erp.home, there) == there.start
    earlier = Window.parse("2026-10-31", "2026-11-01")
    assert database_tables.begins(in_berlin, erp.home, earlier) == datetime(2026, 11, 1, 23, 30, tzinfo=UTC)
    assert database_tables.newest(in_berlin, erp.home) == datetime(2026, 11, 3, 9, tzinfo=UTC)


def test_the_newest_row_of_a_table_with_an_odd_name(database: Database, home: Home, tmp_path: Path) -> None:
    database.execute('create table "Sales Dept"."100% ""s" (id int, at date)')
    database.execute('insert into "Sales Dept"."100%% ""s" values (%s, %s)', (1, "2026-11-01"))
    odd = """
      - name: odd
        config: {meta: {contract_version: 1, source: erp, format: rows, connection: erp, table: 'Sales Dept."100% ""s"', placed: at,
                 key: [id], cadence: 1 hour, lateness: 2 days, owner: finance}}
        columns: [{name: id, data_type: bigint}]
"""
    erp = Erp(home, declared(tmp_path, odd))
    assert database_tables.newest(erp.contracts["odd"], home) == datetime(2026, 11, 1, tzinfo=UTC)
    assert len(erp.of(erp.land(*DAY, sweep=True), "odd")) == 1


def test_the_settings_of_the_role_change_nothing(
    database: Database, erp: Erp, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts, times and literals are the same for a user whose session would write and read them otherwise."""
    database.execute(
        r"""create table "Sales Dept".odd (k text primary key, b bytea, f float8, i interval, t timestamptz, d date, r regclass);
        insert into "Sales Dept".odd values ('a\b', '\x00ff', 0.1, '1 mon -3 days 04:05', '2026-11-01 12:00Z', '2026-11-02', 'rates'),
            ('\', '', 1e-7, '1 year', 'infinity', '0044-03-15 BC', 'pg_class'), ('''\''', null, 'NaN', null, null, null, null)"""
    )
    text = """
      - name: odd
        config: {{meta: {{contract_version: 1, source: erp, format: rows, connection: erp, table: Sales Dept.odd, {how}
                 key: [k], version_column: seen_at, cadence: 1 hour, lateness: 2 days, owner: finance}}}}
        columns: [{{name: k, data_type: varchar}}, {{name: seen_at, data_type: timestamp}}]
"""
    settings = {
        "standard_conforming_strings": "off", "bytea_output": "escape", "extra_float_digits": "-5", "intervalstyle": "iso_8601",
        "datestyle": "SQL, DMY", "timezone": "Asia/Tokyo", "client_encoding": "LATIN1", "quote_all_identifiers": "on",
        "default_transaction_isolation": "serializable", "transform_null_equals": "on", "statement_timeout": "9s",
    }  # fmt: skip
    database.execute("create role odd superuser login")
    try:
        for name, value in settings.items():
            database.execute(f"alter role odd set {name} = '{value}'")  # type: ignore[call-overload]
        batches = []
        for user in ("postgres", "odd"):
            monkeypatch.setenv("AIRFLOW_CONN_ERP", postgres.replace("//postgres@", f"//{user}@"))
            for how in ("", "pages: 1,"):
                folder = erp.home.root / f"{user} {how}"
                own = Erp(Home(folder, erp.home.landing), declared(folder, text.format(how=how)))
                batches.append({one.batch_id for one in own.land(*DAY, sweep=True).manifests})
        assert batches[1:] == batches[:1] * 3
    finally:
        database.execute("drop role odd")


def test_no_row_where_some_are_expected_is_an_incident(database: Database, erp: Erp) -> None:
    for dataset in ("invoices", "rates"):
        expecting = replace(erp.contracts[dataset], expect_records_every=timedelta(days=1))
        with pytest.raises(Permanent, match=f"no records of {dataset} for"):
            Erp(erp.home, {**erp.contracts, dataset: expecting}).land(*DAY)
