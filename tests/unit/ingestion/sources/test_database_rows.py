"""Rows of a query as batches: sorted, counted, and with the deletions that belong to them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion import bronze
from ingestion.contract import read_contracts
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.land import Run, staging
from ingestion.sources import copied
from ingestion.sources.database_rows import array, describe_rows, names_of, stage_returned, take, write_gone
from ingestion.sources.decisions import Target, standing
from ingestion.sources.known import Standing
from ingestion.window import Window

AT = datetime(2026, 11, 5, tzinfo=UTC)
ORDERS = read_contracts()["orders"]
SOME = {"start": AT}


@pytest.fixture
def run(home: Home) -> Run:
    return Run(Window.parse("2026-11-01", "2026-11-02"), home, read_contracts(), AT)


@pytest.fixture
def database(postgres: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres) as connection:
        yield connection


QUERY = "select n %% 3 as order_id, n as v from generate_series(1, 9) as n order by {}"


def test_rows_without_a_unique_key_are_in_one_order_whatever_the_query_gives(
    database: psycopg.Connection[Any], run: Run, tmp_path: Path
) -> None:
    ids = set()
    for place, order in enumerate(("n", "n desc", "random()")):
        folder = tmp_path / str(place)
        folder.mkdir()
        query = QUERY.format(order)
        taken = take(database, query, SOME, folder, table="t", key=["order_id"], is_unique=False)
        ids.add(describe_rows(run, ORDERS, taken).batch_id)
    assert len(ids) == 1


def test_constant_columns_are_no_part_of_the_identity(
    database: psycopg.Connection[Any], run: Run, tmp_path: Path
) -> None:
    ids = set()
    for value in ("2026-11-01", "2026-11-02"):
        folder = tmp_path / value
        folder.mkdir()
        taken = take(database, QUERY.format("n"), SOME, folder, table="t", key=["v"], more={"seen": value})
        manifest = describe_rows(run, ORDERS, taken)
        ids.add(manifest.batch_id)
        table = pq.read_table(folder / manifest.files[0].name)
        assert table["seen"].to_pylist() == [value] * 9
        assert manifest.columns == ("order_id", "v", "seen")
    assert len(ids) == 1


def test_another_count_than_the_databases_is_refused(
    database: psycopg.Connection[Any], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = copied._chunks
    monkeypatch.setattr(copied, "_chunks", lambda rows: chunks([*rows] * 2))
    taken = take(database, QUERY.format("n"), SOME, tmp_path, table="t", key=["v"])
    with pytest.raises(Permanent, match="counted 9 records, but 18 were written"):
        describe_rows(run, ORDERS, taken)


def test_a_key_that_goes_again_is_another_batch(run: Run, tmp_path: Path) -> None:
    gone = [Standing(("o1",), "2026-11-01 10:00:00.000000+00")]
    first = write_gone(tmp_path, run, ORDERS, gone, [])
    row = pq.read_table(tmp_path / first.files[0].name).to_pylist()[0]
    assert (row["order_id"], row["updated_at"], row["is_deleted"]) == ("o1", gone[0].version, True)
    assert write_gone(tmp_path, run, ORDERS, gone, []).batch_id == first.batch_id
    assert write_gone(tmp_path, run, ORDERS, gone, [Target("orders", first.batch_id, 1)]).batch_id != first.batch_id
    assert names_of(gone * 6) == "o1, o1, o1, o1, o1 …"


def test_a_key_and_a_version_may_be_one_column_of_the_source(run: Run, tmp_path: Path) -> None:
    columns = tuple(
        replace(one, source_names=("Day",)) if one.name in ("order_id", "updated_at") else one for one in ORDERS.columns
    )
    contract = replace(ORDERS, columns=columns)
    manifest = write_gone(tmp_path, run, contract, [Standing(("2026-11-01",), "2026-11-01 00:00:00.000000+00")], [])
    assert manifest.columns == ("Day",)
    assert pq.read_table(tmp_path / manifest.files[0].name)["Day"].to_pylist() == ["2026-11-01"]


def test_a_key_that_is_there_again_withdraws_its_deletion(run: Run, home: Home) -> None:
    target = Target("orders", "b1", 1)
    with staging(home) as staged:
        stage_returned(staged, run, [], "the shop")
        assert staged.manifests == []
        stage_returned(staged, run, [target], "the shop")
        staged.commit()
    (decision,) = standing(home).values()
    assert (decision.target, decision.action, decision.reason) == (target, "withdraw", "the shop has the key again")
    assert len(bronze.list_batches(home)) == 1


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"))))
def test_any_texts_arrive_in_an_array(database: psycopg.Connection[Any], values: list[str]) -> None:
    assert database.execute("select %s::text[]", [array(values)]).fetchone() == (values,)
