"""What Clearwell holds, in the state and in batches that wait, is compared with the keys of a source."""

import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingestion import bronze
from ingestion.contract import read_contracts
from ingestion.home import Home
from ingestion.manifest import Manifest
from ingestion.sources.decisions import Target
from ingestion.sources.known import Known, Of, Standing, known
from ingestion.window import Window

ORDERS, LINES = (read_contracts()[name] for name in ("orders", "order_items"))
DAY = Window.parse("2026-11-01", "2026-11-02")
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
STATE = """
    create schema ops;
    create schema records;
    create table ops.batches (
        dataset varchar, batch_id varchar, source varchar, window_start timestamp, window_end timestamp,
        landed_at timestamp default '2026-11-01 12:00', part varchar default ''
    );
    create table records.orders (
        order_id varchar, updated_at timestamp, is_deleted boolean, fate varchar, record_date date, batch_id varchar, record_no bigint
    );
    create table records.refused (
        dataset varchar, batch_id varchar, record_no bigint, record_date date, reasons varchar[], raw varchar
    );
"""


def land(
    home: Home,
    batch_id: str,
    rows: Sequence[dict[str, str | None]],
    *,
    dataset: str = "orders",
    source: str = "orders",
    window: Window = DAY,
    is_gone: bool = False,
) -> None:
    with bronze.staged(home, dataset) as folder:
        table = pa.Table.from_pylist([{**row, "record_no": number} for number, row in enumerate(rows, 1)])
        if is_gone:
            table = table.append_column("is_deleted", pa.array([True] * len(rows)))
        pq.write_table(table, folder / "part-0.parquet")
        manifest = Manifest(
            dataset, batch_id, source, window, 1, NOON, len(rows), len(rows), part="gone" if is_gone else "",
            files=(bronze.describe(folder / "part-0.parquet"),), columns=tuple(rows[0]),
        )  # fmt: skip
        bronze.commit(home, folder, manifest)


def order(
    key: str | None, version: object = "2026-11-01T12:00:00Z", placed: str = "2026-11-01"
) -> dict[str, str | None]:
    return {"order_id": key, "updated_at": None if version is None else str(version), "ordered_at": placed}


def listed(folder: Path, *rows: dict[str, str | None], name: str = "listed") -> list[str]:
    path = folder / f"{name}.parquet"
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return [str(path)]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home", tmp_path / "landing")


@pytest.fixture
def state(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield the connection to an empty state; close it before the state is read."""
    home.root.mkdir()
    with duckdb.connect(str(home.state)) as connection:
        connection.execute(STATE)
        yield connection


def take(state: duckdb.DuckDBPyConnection, batch_id: str, source: str = "orders") -> None:
    state.execute(
        f"insert into ops.batches (dataset, batch_id, source, window_start, window_end) values"
        f" ('orders', '{batch_id}', '{source}', '2026-11-01', '2026-11-02')"
    )


def unseen(home: Home, files: list[str], here: Sequence[str] = ()) -> list[str]:
    with known(home) as held, held.open():
        return [key for (key,) in held.unseen(ORDERS, files, here)]


def test_a_row_is_seen_if_a_waiting_batch_has_its_key_in_the_same_version(home: Home, tmp_path: Path) -> None:
    files = listed(
        tmp_path,
        order("same", "2026-11-01 14:00:00+02"),
        order("changed", "2026-11-01T12:00:01Z"),
        order("without a version", None),
        order("new"),
        order("here"),
        order(None),
    )
    assert unseen(home, []) == []
    assert unseen(home, files) == ["changed", "here", "new", "same", "without a version"]
    land(home, "b1", [order("same"), order("changed"), order("without a version", None)])
    assert unseen(home, files, listed(tmp_path, order("here"), name="here")) == ["changed", "new"]


def test_a_row_is_seen_if_the_state_has_it_with_any_fate(
    home: Home, state: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    take(state, "b1")
    for number, fate in enumerate(("current", "superseded", "withdrawn"), 1):
        state.execute(
            f"insert into records.orders values ('{fate}', '2026-11-01 12:00', false, '{fate}', '2026-11-01', 'b1', {number})"
        )
    state.execute("""
        insert into records.refused values
        ('orders', 'b1', 4, '2026-11-01', ['missing:currency'], '{"order_id": "refused", "updated_at": "2026-11-01T12:00:00Z"}'),
        ('orders', 'b1', 5, '2026-11-01', ['broken_json'], '{"order_id": "new"')
    """)
    state.close()
    rows = [order(key) for key in ("current", "superseded", "withdrawn", "refused", "new")]
    assert unseen(home, listed(tmp_path, *rows)) == ["new"]


def test_a_damaged_batch_is_not_read(home: Home, tmp_path: Path) -> None:
    land(home, "b1", [order("o1")])
    land(home, "b2", [order("o2")])
    (path,) = home.bronze.glob("*/*/b1/*.parquet")
    path.write_bytes(path.read_bytes()[:-1])
    assert unseen(home, listed(tmp_path, order("o1"), order("o2"))) == ["o1"]


class Counting:
    """A connection that keeps what it is asked."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self.queries: list[str] = []

    def execute(self, query: str) -> duckdb.DuckDBPyConnection:
        self.queries.append(query)
        return self._connection.execute(query)


def test_as_many_statements_read_a_year_of_batches_that_wait_as_two(home: Home, tmp_path: Path) -> None:
    def statements() -> int:
        with duckdb.connect() as connection:
            counting = Counting(connection)
            held = Known(home, cast(duckdb.DuckDBPyConnection, counting))
            rows = [order(key) for key in ("b0", "b1", "b7", "other columns", "new")]
            assert set(held.unseen(ORDERS, listed(tmp_path, *rows), [])) <= {("b7",), ("new",)}
            return len(counting.queries)

    land(home, "other columns", [{**order("other columns"), "note": "x"}])
    for number in range(2):
        land(home, f"b{number}", [order(f"b{number}")])
    of_two = statements()
    for number in range(2, 12):
        land(home, f"b{number}", [order(f"b{number}")])
    assert statements() == of_two


def test_rows_without_a_column_of_the_key_are_no_keys(home: Home, tmp_path: Path) -> None:
    land(home, "b1", [{"orderid": "o1"}])
    land(home, "b2", [{"Order_ID": "o2", "Updated_At": "2026-11-01T12:00:00Z"}])
    assert unseen(home, listed(tmp_path, order("o1"), order("o2"))) == ["o1"]


def test_windows_that_overlap_are_listed_from_the_state_and_from_bronze(
    home: Home, state: duckdb.DuckDBPyConnection
) -> None:
    take(state, "b1")
    state.execute(
        "insert into ops.batches (dataset, batch_id, source, window_start, window_end) values"
        " ('orders', 'b0', 'orders', '2026-10-01', '2026-11-01')"
    )
    state.close()
    for number, (start, end) in enumerate((("2026-11-02", "2026-11-03"), ("2026-11-03", "2026-11-04"))):
        land(home, f"waits {number}", [order("o1")], window=Window.parse(start, end))
    with known(home) as held, held.open():
        found = held.landed("orders", Window.parse("2026-11-01", "2026-11-03"))
        assert held.landed("order_items", DAY) == []
    assert found == [DAY, Window.parse("2026-11-02", "2026-11-03")]


@dataclass(frozen=True)
class Record:
    """A record of one key: its version and date as days, and what the state says of it, or that it waits."""

    key: str
    version: int | None
    day: int
    is_deleted: bool
    is_of_source: bool
    fate: str

    @property
    def is_current(self) -> bool:
        return self.fate in ("current", "waits")

    @property
    def date(self) -> date:
        return (DAY.start + timedelta(days=self.day)).date()

    def at(self) -> str | None:
        return None if self.version is None else f"{NOON + timedelta(days=self.version):%Y-%m-%d %H:%M:%S.%f}+00"


RECORDS = st.builds(
    Record,
    key=st.sampled_from("abc"),
    version=st.none() | st.integers(0, 3),
    day=st.integers(0, 1),
    is_deleted=st.booleans(),
    is_of_source=st.integers(0, 4).map(bool),
    fate=st.sampled_from(["current", "superseded", "waits"]),
)


def stands(key: str, records: Iterable[Record]) -> Standing | None:
    """Return what is known of a key whose rows on the first day are current, unless it is gone: in plain Python."""
    mine = [one for one in records if one.key == key and one.is_current and one.is_of_source]
    if not any(one.day == 0 and not one.is_deleted for one in mine):
        return None
    versions = [one.version for one in mine if one.version is not None and not one.is_deleted]
    if any(one.is_deleted for one in mine):
        gone = [one.version for one in mine if one.version is not None and one.is_deleted]
        if not gone or not versions or max(versions) <= max(gone):
            return None
    at = Record(key, max(versions), 0, False, True, "").at() if versions else None
    return Standing((key,), at)


# the order has moved to another date
@example([Record("a", 1, 0, False, True, "superseded"), Record("a", 2, 1, False, True, "current")])
@settings(max_examples=12)
@given(st.lists(RECORDS, max_size=10))
def test_the_keys_that_stand_on_a_date_are_those_of_plain_python(records: list[Record]) -> None:
    with TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home", Path(folder))
        home.root.mkdir()
        with duckdb.connect(str(home.state)) as state:
            state.execute(STATE)
            for number, one in enumerate(one for one in records if one.fate != "waits"):
                take(state, f"b{number}", "orders" if one.is_of_source else "corrections")
                values = [one.key, one.at() and one.at()[:-3], one.is_deleted, one.fate, one.date, f"b{number}", 1]
                state.execute("insert into records.orders values (?, ?, ?, ?, ?, ?, ?)", values)
        for is_of_source, is_deleted in product((True, False), (True, False)):
            kind = ("waits", is_of_source, is_deleted)
            mine = [one for one in records if (one.fate, one.is_of_source, one.is_deleted) == kind]
            if mine:
                rows = [order(one.key, one.at(), f"{one.date} 23:59:59+00") for one in mine]
                source = "orders" if is_of_source else "corrections"
                land(home, f"waits {is_of_source} {is_deleted}", rows, source=source, is_gone=is_deleted)
        with known(home) as held, held.open():
            found = held.standing(ORDERS, on=DAY, here=[])
    assert found == [one for one in (stands(key, records) for key in "abc") if one]


def test_the_lines_of_some_orders_stand_unless_they_are_here(home: Home, tmp_path: Path) -> None:
    at = "2026-11-01T12:00:00Z"
    rows = [(o, n) for o in ("o1", "o2", "o3") for n in ("1", "2")]
    land(
        home,
        "b1",
        [{"order_id": order_id, "line_number": number, "updated_at": at} for order_id, number in rows],
        dataset="order_items",
    )
    orders = listed(tmp_path, {"order_id": "o1"}, name="orders")
    here = listed(tmp_path, {"order_id": "o1", "line_number": "1"}, name="here")
    with known(home) as held, held.open():
        with_files = held.standing(LINES, of=Of(("order_id",), orders, ("order_id",), [("o3",)]), here=here)
        without = held.standing(LINES, of=Of(("order_id",), [], ("order_id",), [("o2",)]), here=here)
    assert [one.key for one in with_files] == [("o1", "2"), ("o3", "1"), ("o3", "2")]
    assert [one.key for one in without] == [("o2", "1"), ("o2", "2")]


def test_comparing_keys_does_not_import_pandas(tmp_path: Path) -> None:
    home = Home(tmp_path / "it's a home", tmp_path / "landing")
    home.root.mkdir()
    with duckdb.connect(str(home.state)) as state:
        state.execute(STATE)
        take(state, "entered")
    land(home, "entered", [order("in the state")])
    land(home, "b1", [order("here"), order("not here")])
    files = listed(home.root, order("here"))
    code = f"""
import sys
from pathlib import Path
from ingestion.contract import read_contracts
from ingestion.home import Home
from ingestion.sources.known import Of, known
from ingestion.window import Window

orders, files, day = read_contracts()["orders"], {files!r}, Window.parse("2026-11-01", "2026-11-02")
with known(Home(Path({str(home.root)!r}), Path())) as held, held.open():
    assert held.landed("orders", day) == [day]
    assert held.latest("orders").batch_id == "entered"
    assert held.unseen(orders, files, []) == held.returned(orders, files) == []
    assert [one.key for one in held.standing(orders, on=day, here=files)] == [("not here",)]
    assert held.standing(orders, of=Of(("order_id",), files, ("order_id",)), here=files) == []
sys.exit("pandas" in sys.modules)
"""
    repository = Path(__file__).parents[4]
    assert subprocess.run([sys.executable, "-c", code], cwd=repository, check=False).returncode == 0


def test_a_key_that_the_source_has_again_in_no_newer_version_is_a_return(
    home: Home, state: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    take(state, "b1")
    for number, (key, fate) in enumerate((("same", "current"), ("newer", "current"), ("ended", "superseded")), 1):
        state.execute(
            f"insert into records.orders values ('{key}', '2026-11-01 12:00', true, '{fate}', '2026-11-01', 'b1', {number})"
        )
    state.close()
    land(home, "waits", [order("older"), order("away")], is_gone=True)
    files = listed(
        tmp_path,
        order("same"),
        order("newer", "2026-11-01T12:00:01Z"),
        order("older", "2026-11-01T11:00:00Z"),
        order("ended"),
        order("other"),
    )
    keys = [(key,) for key in ("same", "ended", "away", "other")]
    with known(home) as held, held.open():
        assert held.returned(ORDERS, files) == [Target("orders", "b1", 1), Target("orders", "waits", 1)]
        assert held.deletions(ORDERS, keys) == [
            Target("orders", "b1", 1),
            Target("orders", "b1", 3),
            Target("orders", "waits", 2),
        ]


def test_a_retracted_batch_is_seen_but_does_not_stand(
    home: Home, state: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    take(state, "b1")
    state.execute("insert into records.refused values ('orders', 'b1', 1, ?, ['retracted'], null)", [date(2026, 11, 1)])
    state.close()
    land(home, "b1", [order("o1")])
    assert unseen(home, listed(tmp_path, order("o1"), order("o2"))) == ["o2"]
    with known(home) as held, held.open():
        assert held.standing(ORDERS, on=DAY, here=[]) == []


def test_rows_may_have_other_names_than_the_contract(home: Home, tmp_path: Path) -> None:
    names = {"order_id": "Order No", "updated_at": "Changed"}
    here = listed(tmp_path, {"Order No": "o1", "Changed": "2026-11-01T10:00:00Z"}, name="here")
    land(home, "b1", [order("o1"), order("o2")])
    land(home, "b2", [{"order_id": "o1", "updated_at": "2026-11-01T12:00:00Z"}], is_gone=True)
    with known(home) as held, held.open():
        assert held.unseen(ORDERS, listed(tmp_path, order("o1", "2026-12-01"), order("o3")), here, names) == [("o3",)]
        assert [one.key for one in held.standing(ORDERS, here=here, names=names)] == [("o2",)]
        assert held.returned(ORDERS, here, names) == [Target("orders", "b2", 1)]


def test_keys_are_found_of_several_columns_in_files_with_other_names(home: Home, tmp_path: Path) -> None:
    lines = [("o1", "1"), ("o1", "2"), ("o2", "1")]
    land(home, "b1", [{"order_id": one, "line_number": two} for one, two in lines], dataset="order_items")
    files = listed(tmp_path, {"No": "o1", "Line": "2"}, {"No": "o2", "Line": "2"}, {"No": None, "Line": "1"})
    of = Of(("order_id", "line_number"), files, ("No", "Line"), [("o2", "1"), ("o1", "3")])
    with known(home) as held, held.open():
        assert [one.key for one in held.standing(LINES, of=of, here=[])] == [("o1", "2"), ("o2", "1")]


def test_the_latest_batch_is_the_one_that_landed_last(home: Home, state: duckdb.DuckDBPyConnection) -> None:
    with known(home) as held:
        assert held.latest("orders") is None
    land(home, "b1", [order("o1")])
    land(home, "b2", [order("o1")], is_gone=True)
    take(state, "b1")
    state.close()
    with known(home) as held, held.open():
        latest = held.latest("orders")
    assert latest and latest.batch_id == "b1", "what is gone is no batch of the window's own rows"
    land(home, "b3", [order("o3")])
    with known(home) as held, held.open():
        latest = held.latest("orders")
    assert latest and latest.batch_id == "b3"


def test_a_version_without_a_zone_is_of_the_contracts(home: Home, tmp_path: Path) -> None:
    columns = tuple(
        replace(one, timezone="Europe/Berlin") if one.name == "updated_at" else one for one in ORDERS.columns
    )
    contract = replace(ORDERS, columns=columns)
    land(home, "b1", [order("o1", "2026-11-01 10:00:00"), order("o2", "2026-11-01 10:00:00+00")])
    rows = [order("o1", "2026-11-01 09:00:00Z"), order("o2", "2026-11-01 11:00:00")]
    with known(home) as held, held.open():
        assert held.unseen(contract, listed(tmp_path, *rows), []) == []
        assert [one.version for one in held.standing(contract, here=[])] == [
            "2026-11-01 09:00:00.000000+00",
            "2026-11-01 10:00:00.000000+00",
        ]
