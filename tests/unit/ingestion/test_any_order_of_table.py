"""Tables that change while they are read: whatever the order of windows, the repeats and the kills, what stands at the end is the tables.

Invoices are placed and changed, lines land with them, a log is only added to, and rates are read whole. Python keeps the same
tables, and decides alone which of the landed records stands for a key.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ingestion import bronze, sources
from ingestion.contract import Contract, read_contracts
from ingestion.home import Home
from ingestion.window import Window
from tests.unit.ingestion.killed import killed_at

CONTRACT = """
      - name: {name}
        config: {{meta: {{contract_version: 1, source: erp, format: rows, connection: erp, table: erp.{name}, {how},
                 key: [{key}], cadence: 1 hour, lateness: 2 hours, owner: finance}}}}
        columns: [{columns}]
"""
TIME = "data_type: timestamp}"
CONTRACTS = (
    ("invoices", "placed: made_at, changed: updated_at, version_column: updated_at, event_time: made_at", "id",
     f"{{name: id, data_type: varchar}}, {{name: made_at, {TIME}, {{name: updated_at, {TIME}"),
    ("lines", "changed: updated_at, version_column: updated_at, lands_with: {dataset: invoices, column: id}", "id, line",
     f"{{name: id, data_type: varchar}}, {{name: line, data_type: varchar}}, {{name: updated_at, {TIME}"),
    ("log", "placed: made_at", "id", f"{{name: id, data_type: varchar}}, {{name: made_at, {TIME}"),
    ("rates", "version_column: seen_at", "id", f"{{name: id, data_type: varchar}}, {{name: seen_at, {TIME}"),
)  # fmt: skip
TABLES = """
drop schema if exists erp cascade;
create schema erp;
create table erp.invoices (id text primary key, amount int, made_at timestamptz, updated_at timestamptz);
create table erp.lines (id text, line text, amount int, updated_at timestamptz, primary key (id, line));
create table erp.log (id text primary key, amount int, made_at timestamptz);
create table erp.rates (id text primary key, amount int);
"""
MIDNIGHT = datetime(2026, 11, 1, tzinfo=UTC)
AT = datetime(2100, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = Window(MIDNIGHT, MIDNIGHT + timedelta(days=1))
# A change: what, of which key, the amount that it writes.
CHANGES = st.tuples(
    st.sampled_from(["put", "put", "late", "line", "unline", "delete", "restore", "note", "rate", "unrate"]),
    st.integers(1, 3),
    st.integers(0, 9),
)
# A landing: the hours that its window begins and ends with, whether it is a sweep of the day, the write at which it is killed.
LANDINGS = st.tuples(st.integers(0, 4), st.integers(0, 4), st.booleans(), st.none() | st.integers(0, 40))
Rows = dict[str, dict[tuple[str, ...], int]]


@pytest.fixture(scope="module")
def contracts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Contract]:
    folder = tmp_path_factory.mktemp("project") / "models" / "staging"
    folder.mkdir(parents=True)
    tables = "".join(
        CONTRACT.format(name=name, how=how, key=key, columns=columns) for name, how, key, columns in CONTRACTS
    )
    (folder / "staging_erp.yml").write_text(f"sources:\n  - name: bronze\n    tables:{tables}")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CLEARWELL_SOURCES", raising=False)
        return read_contracts(folder.parents[1])


@pytest.fixture
def database(postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection[Any]]:
    monkeypatch.setenv("AIRFLOW_CONN_ERP", postgres)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(TABLES)
        yield connection


@dataclass
class Erp:
    """The tables of a database, and the same in Python."""

    database: psycopg.Connection[Any]
    rows: Rows = field(default_factory=lambda: defaultdict(dict))
    changed: dict[str, datetime] = field(default_factory=dict)
    deleted: dict[str, int] = field(default_factory=dict)

    def change(self, moment: datetime, what: str, number: int, amount: int) -> None:
        key = f"k{number}"
        if what in ("put", "late", "line", "unline"):
            # a late change is committed after the hour before it has landed; it only comes if the row says something older
            moment -= timedelta(minutes=90 if what == "late" else 0)
            if moment > self.changed.get(key, MIDNIGHT - HOUR):
                self._put_invoice(key, moment, amount)
                self._put_line(what, key, f"{amount % 2}", moment, amount)
        elif what == "restore" and key in self.deleted and (key,) not in self.rows["invoices"]:
            # as from a backup: with the time of its last change
            self._put_invoice(key, self.changed[key], self.deleted[key])
        elif what == "delete" and (key,) in self.rows["invoices"]:
            self.deleted[key] = self.rows["invoices"][key,]
            self._do("delete from erp.invoices where id = %s", key)
            self._do("delete from erp.lines where id = %s", key)
            del self.rows["invoices"][key,]
            for line in [line for line in self.rows["lines"] if line[0] == key]:
                del self.rows["lines"][line]
        elif what == "note" and ((note := f"{number} {amount}"),) not in self.rows["log"]:
            self._do("insert into erp.log values (%s, %s, %s)", note, amount, moment)
            self.rows["log"][note,] = amount
        elif what == "rate":
            self._do(
                "insert into erp.rates values (%s, %s) on conflict (id) do update set amount = excluded.amount",
                key,
                amount,
            )
            self.rows["rates"][key,] = amount
        elif what == "unrate":
            self._do("delete from erp.rates where id = %s", key)
            self.rows["rates"].pop((key,), None)

    def _put_invoice(self, key: str, moment: datetime, amount: int) -> None:
        self.changed[key] = moment
        self._do(
            "insert into erp.invoices values (%s, %s, %s, %s)"
            " on conflict (id) do update set amount = excluded.amount, updated_at = excluded.updated_at",
            key, amount, MIDNIGHT, moment,
        )  # fmt: skip
        self.rows["invoices"][key,] = amount

    def _put_line(self, what: str, key: str, line: str, moment: datetime, amount: int) -> None:
        if what == "line":
            self._do(
                "insert into erp.lines values (%s, %s, %s, %s)"
                " on conflict (id, line) do update set amount = excluded.amount, updated_at = excluded.updated_at",
                key, line, amount, moment,
            )  # fmt: skip
            self.rows["lines"][key, line] = amount
        elif what == "unline":
            self._do("delete from erp.lines where id = %s and line = %s", key, line)
            self.rows["lines"].pop((key, line), None)

    def _do(self, statement: str, *values: object) -> None:
        self.database.execute(statement, values)  # type: ignore[arg-type]


SWEEP = (0, 0, True, None)
RETURNS = [([("line", 1, 1)], [SWEEP]), ([("delete", 1, 0)], [SWEEP]), ([("restore", 1, 0)], [])]


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.lists(CHANGES, max_size=6), st.lists(LANDINGS, max_size=2)), min_size=1, max_size=4))
@example(RETURNS)
def test_any_order_repeat_and_kill_leads_to_the_tables(
    database: psycopg.Connection[Any],
    tmp_path_factory: pytest.TempPathFactory,
    contracts: dict[str, Contract],
    history: list[tuple[list[tuple[str, int, int]], list[tuple[int, int, bool, int | None]]]],
) -> None:
    database.execute("truncate erp.invoices, erp.lines, erp.log, erp.rates")
    root = tmp_path_factory.mktemp("any")
    erp, home = Erp(database), Home(root / "home", root / "landing")
    landings = 0
    for hour, (changes, windows) in enumerate(history):
        for second, change in enumerate(changes):
            erp.change(MIDNIGHT + hour * HOUR + timedelta(seconds=second), *change)
        for first, last, is_sweep, kill in [*windows, *([SWEEP] if hour == len(history) - 1 else [])]:
            landings += 1
            window = Window(MIDNIGHT + min(first, last) * HOUR, MIDNIGHT + (max(first, last) + 1) * HOUR)
            land, window = (sources.sweep, DAY) if is_sweep else (sources.ingest, window)
            with killed_at(kill):
                land("erp", window, home, AT + timedelta(minutes=landings), contracts=contracts)
    for name, contract in contracts.items():
        assert standing(home, contract) == erp.rows[name], name


def standing(home: Home, contract: Contract) -> dict[tuple[str, ...], int]:
    """Return the amount of each key that stands, of all that landed: the latest version, and of a row and its deletion the deletion."""
    withdrawn = {(row["target_batch_id"], int(row["target_record_no"])) for _, row in records(home, "decisions")}
    best: dict[tuple[str, ...], tuple[str, bool, int]] = {}
    for batch_id, row in records(home, contract.dataset):
        if (batch_id, row["record_no"]) not in withdrawn:
            key = tuple(row[name] for name in contract.key)
            is_deleted = bool(row.get("is_deleted"))
            version = moment(row.get(contract.version_column or "") or "")
            best[key] = max(best.get(key, ("", False, 0)), (version, is_deleted, int(row.get("amount") or 0)))
    return {key: amount for key, (_, is_deleted, amount) in best.items() if not is_deleted}


def moment(text: str) -> str:
    """Write a time so that the later one is the greater text."""
    return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="microseconds") if text else ""


def records(home: Home, dataset: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every record of the batches that a build would see, with its batch."""
    for manifest in bronze.committed(home):
        if manifest.dataset == dataset:
            for path in bronze.parquet_files(home, manifest):
                yield from ((manifest.batch_id, row) for row in pq.read_table(path).to_pylist())
