"""The accounts of a small state: they add up, and a record that is lost, doubled or altered anywhere is named."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion import bronze
from ingestion.contract import read_contracts
from ingestion.errors import Permanent
from ingestion.home import Home
from operations import ledger
from tests.pipeline.delivery import LINE, land_rows
from tests.unit.macros.dbt_like import project
from warehouse import publish
from warehouse.difference import Difference

AT = datetime(2026, 11, 3, tzinfo=UTC)
NAME = "order_items"
CONTRACT = read_contracts()[NAME]
# Of each line: order, number, product, quantity, price, discount and its fate. Their amounts are 20, 30, -5.5 and 10.
LINES = """
    ('o1', 1, 'p', 2, 10, null, 'current'), ('o1', 2, 'p', 3, 10, 0, 'current'), ('o2', 1, null, -1, 5, 0.5, 'current'),
    ('o1', 1, 'p', 1, 10, 0, 'superseded')
"""


def fill(state: duckdb.DuckDBPyConnection, batch: str) -> None:
    """Make the tables of a build: four lines and two refused ones of one batch, and the ledger's cells, by the macro."""
    columns = ", ".join(f"{one.name} {one.type}" for one in CONTRACT.columns)
    state.execute(f"""
        create schema ops; create schema records; create schema gold; create schema silver;
        create table records.{NAME} (batch_id varchar, record_no bigint, record_date date, fate varchar, {columns});
        insert into records.{NAME} (order_id, line_number, product_id, quantity, unit_price, discount_amount, fate) values {LINES};
        update records.{NAME} set batch_id = '{batch}', record_no = rowid + 1, record_date = '2026-11-01', updated_at = '2026-11-01';
        create table records.refused (
            dataset varchar, batch_id varchar, record_no bigint, record_date date, fate varchar, currency varchar, amount decimal(38, 4),
            is_amount_read boolean, reasons varchar[], raw varchar
        );
        insert into records.refused values
            ('{NAME}', '{batch}', 5, '2026-11-01', 'dead_letter', null, null, false, ['not_a_number:unit_price'], 'raw 5'),
            ('{NAME}', '{batch}', 6, '2026-11-01', 'withdrawn', null, 7, true, ['out_of_range:quantity'], 'raw 6');
        create table ops.batches as
        select '{NAME}' as dataset, '{batch}' as batch_id, date '2026-11-01' as window_date, 6 as counted_by_source, 6 as records_written;
        create table ops.batch_dates as
        select '{NAME}' as dataset, null::varchar as currency, 61.5::decimal(38, 4) as amount, true as is_amount_read;
    """)
    content = project(state)["content_hash"]
    amount = "(quantity * unit_price - coalesce(discount_amount, 0))::decimal(38, 4)"
    state.execute(f"""
        create table ops.ledger as
        select
            dataset, batch_id, record_date, fate, currency, is_amount_read, count(*) as records, sum(amount) as amount,
            sum(content)::hugeint as content
        from (
            select
                '{NAME}' as dataset, batch_id, record_date, fate, null::varchar as currency, true as is_amount_read, {amount} as amount,
                {content([one.name for one in CONTRACT.columns])} as content
            from records.{NAME}
            union all by name
            select * exclude (record_no, reasons, raw), {content(["reasons", "raw"])} as content from records.refused
        )
        group by all
    """)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Return a home with a batch of six lines in bronze, and the state that a build makes of it."""
    monkeypatch.setattr(ledger, "read_contracts", lambda: {NAME: CONTRACT})
    home = Home(tmp_path / "home", tmp_path / "landing")
    rows = [dict.fromkeys(LINE) | {"order_id": f"o{number}"} for number in range(6)]
    batch = land_rows(home, NAME, LINE, rows, AT)
    with duckdb.connect(str(home.state)) as state:
        fill(state, batch)
    return home


def change(home: Home, query: str) -> None:
    with duckdb.connect(str(home.state)) as state:
        assert state.execute(query).fetchone() != (0,), "nothing was changed"


def test_the_summary_has_each_fate_and_what_does_not_add_up(home: Home) -> None:
    (row,), balanced = ledger.read(home)
    assert balanced and {name: row[name] for name in ledger.FIRST} == {
        "dataset": NAME,
        "bronze": 6,
        "current": 3,
        "superseded": 1,
        "duplicate": 0,
        "dead_letter": 1,
        "withdrawn": 1,
        "difference": 0,
    }
    assert ledger.read(home, NAME) == ([row], True)
    with pytest.raises(Permanent, match="the ledger has no dataset 'orders'"):
        ledger.read(home, "orders")
    change(home, "update ops.batches set counted_by_source = 7")
    assert not ledger.read(home)[1]
    change(home, "update ops.batches set counted_by_source = 6")
    change(home, "delete from ops.ledger where fate = 'withdrawn'")
    (row,), balanced = ledger.read(home)
    assert not balanced and row["difference"] == 1


def test_money_adds_up_by_fate_and_says_what_could_not_be_read(home: Home) -> None:
    (row,), balanced = ledger.money(home)
    assert balanced and row == {
        "dataset": NAME,
        "currency": None,
        "bronze": Decimal("61.5"),
        "current": Decimal("44.5"),
        "superseded": Decimal(10),
        "duplicate": None,
        "dead_letter": None,
        "withdrawn": Decimal(7),
        "unread_records": 1,
        "difference": Decimal(0),
    }
    change(home, "update ops.batch_dates set amount = amount + 0.0001")
    (row,), balanced = ledger.money(home)
    assert not balanced and row["difference"] == Decimal("0.0001")


def test_without_a_state_there_is_nothing_to_count(tmp_path: Path) -> None:
    home = Home(tmp_path, tmp_path)
    assert ledger.recount(home) == ([], True)
    assert ledger.read(home) == ledger.money(home) == ([], True)
    assert ledger.recompute(home, AT) == []


@pytest.mark.parametrize(
    ("query", "cells", "odd"),
    [
        (f"delete from records.{NAME} where record_no = 2", {("current", 3, 2)}, "2 (0 times)"),
        (f"insert into records.{NAME} from records.{NAME} where record_no = 4", {("superseded", 1, 2)}, "4 (2 times)"),
        (f"update records.{NAME} set fate = 'duplicate' where record_no = 4", {("superseded", 1, 0), ("duplicate", 0, 1)}, ""),
        (f"update records.{NAME} set quantity = 9 where record_no = 1", {("current", 3, 3)}, ""),
        (f"update records.{NAME} set product_id = 'q' where record_no = 1", {("current", 3, 3)}, ""),
        (f"update records.{NAME} set product_id = null where record_no = 1", {("current", 3, 3)}, ""),
        ("update records.refused set raw = 'other' where record_no = 5", {("dead_letter", 1, 1)}, ""),
        ("update records.refused set reasons = ['other'] where record_no = 5", {("dead_letter", 1, 1)}, ""),
        ("update ops.ledger set amount = 45 where fate = 'current'", {("current", 3, 3)}, ""),
        ("delete from ops.ledger where fate = 'withdrawn'", {("withdrawn", 0, 1)}, ""),
    ],
)  # fmt: skip
def test_a_recount_names_each_cell_that_a_change_makes_wrong(
    home: Home, query: str, cells: set[tuple[str, int, int]], odd: str
) -> None:
    assert ledger.recount(home) == ([], True)
    ledger.check(home)
    change(home, query)
    found, balanced = ledger.recount(home)
    assert not balanced
    of_tables = [row for row in found if row["record_date"]]
    assert {(row["fate"], row["in_ledger"], row["counted"]) for row in of_tables} == cells
    (batch,) = {row["batch_id"] for row in found}
    assert {row["records"] for row in of_tables} == {f"{batch}:{odd}" if odd else ""}
    with pytest.raises(Permanent, match=rf"the ledger is wrong in {len(found)} places"):
        ledger.check(home)


def spoil_file(folder: Path) -> None:
    (folder / "part-0.parquet").write_bytes(b"PAR1")


def lose_file(folder: Path) -> None:
    (folder / "part-0.parquet").unlink()


def lose_manifest(folder: Path) -> None:
    (folder / bronze.MANIFEST).unlink()


@pytest.mark.parametrize(
    ("deed", "said"),
    [(spoil_file, "differs from its manifest"), (lose_file, "is missing"), (lose_manifest, "there is no batch")],
)
def test_a_recount_names_a_batch_that_bronze_has_lost(home: Home, deed: Callable[[Path], None], said: str) -> None:
    (ref,) = bronze.list_batches(home)
    deed(bronze.batch_folder(home, ref))
    (row,), balanced = ledger.recount(home)
    assert not balanced and (row["batch_id"], row["in_ledger"], row["counted"]) == (ref.batch_id, 6, None)
    assert said in row["fate"]


def test_a_recount_compares_manifests_and_finds_strangers(home: Home) -> None:
    waits = land_rows(home, NAME, LINE, [dict.fromkeys(LINE)], AT)
    assert ledger.recount(home) == ([], True), "a batch that waits for a build is no difference"
    (manifest,) = home.bronze.glob(f"*/*/{waits}/{bronze.MANIFEST}")
    manifest.write_text("{}")
    (row,), _ = ledger.recount(home)
    assert (row["batch_id"], row["in_ledger"], row["counted"]) == (waits, 0, None)
    manifest.unlink()
    change(home, "update ops.ledger set records = 2 where fate = 'withdrawn'")
    assert ("records_written of its manifest", 7, 6) in {
        (row["fate"], row["in_ledger"], row["counted"]) for row in ledger.recount(home)[0]
    }


def publish_gold(home: Home, extra: str = "") -> None:
    change(
        home, "create table gold.sales as select 'o' || n as order_id, n * 1.5 as amount from range(3) as numbers (n)"
    )
    home.published.parent.mkdir(parents=True)
    with duckdb.connect(str(home.published)) as published:
        published.execute(f"attach '{home.state}' as state (read_only)")
        published.execute(f"create schema gold; create table gold.sales as select *{extra} from state.gold.sales")


def recomputed(home: Home, monkeypatch: pytest.MonkeyPatch, *differences: Difference) -> list[dict[str, Any]]:
    monkeypatch.setattr(ledger, "rebuild_aside", lambda *_: list(differences))
    return ledger.recompute(home, AT)


def test_a_rebuild_names_records_or_rows_and_the_side_that_has_them(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = (
        {"side": "before", "batch_id": "b", "record_no": 7, "quantity": 1},
        {"side": "after", "batch_id": "b", "quantity": Decimal(2)},
    )
    others = ({"side": "after", "day": AT.date()},)
    found = recomputed(home, monkeypatch, Difference("records.x", 1, 1, rows), Difference("gold.y", 0, 1, others))
    assert [(one["table"], one["side"], one["record"]) for one in found] == [
        ("records.x", "in the state", "b:7"),
        ("records.x", "from bronze", "b"),
        ("gold.y", "from bronze", ""),
    ]
    assert found[2]["row"] == '{"day": "2026-11-03"}'


def test_published_rows_are_compared_with_the_state(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_gold(home)
    assert recomputed(home, monkeypatch) == []
    with duckdb.connect(str(home.published)) as published:
        published.execute("update gold.sales set amount = 9 where order_id = 'o2'")
        published.execute("insert into gold.sales values ('o0', 0)")
    found = {(one["table"], one["side"], one["row"]) for one in recomputed(home, monkeypatch)}
    assert found == {
        ("published gold.sales", "in the state", '{"order_id": "o2", "amount": "3.0"}'),
        ("published gold.sales", "published", '{"order_id": "o2", "amount": "9.0"}'),
        ("published gold.sales", "published", '{"order_id": "o0", "amount": "0.0"}'),
    }
    publish.write_pin(home, publish.Pin("older", "a test", "somebody", AT.isoformat()))
    assert recomputed(home, monkeypatch) == [], "readers are meant to have another state"


def test_a_published_table_with_other_columns_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_gold(home, extra=", 1 as more")
    (one,) = recomputed(home, monkeypatch)
    assert one["row"] == "its columns are order_id, amount, more instead of order_id, amount"
