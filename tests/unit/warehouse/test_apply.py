"""What one change does to a table, and how a build that holds every table becomes the state, without dbt."""

from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from ingestion.errors import Permanent
from ingestion.home import Home
from warehouse import applied, apply, shape
from warehouse.applied import Replacement
from warehouse.dbt import Change
from warehouse.plan import Build, Plan


def change(by: dict[str, str], match: str = "keys") -> Change:
    return Change(
        model="records_orders",
        schema="records",
        table="orders",
        match_schema="plan" if match else "",
        match_table=match,
        by=by,
        columns=("order_id", "record_date"),
        types=("varchar", "date"),
        view_sql="",
        is_published=False,
    )


@pytest.fixture
def connection(tmp_path: Path):
    with duckdb.connect(str(tmp_path / "build.duckdb")) as build:
        build.execute("create schema records; create schema plan")
        build.execute("create table records.orders as select 'b' as order_id, date '2026-01-02' as record_date")
        build.execute(
            "create table plan.keys as select 'b' as order_id, date '2026-01-01' as record_date union all select null, null"
        )
    with duckdb.connect() as state:
        state.execute("create schema records")
        state.execute(
            "create table records.orders as select * from (values ('a', date '2026-01-01'), ('b', date '2026-01-01'), "
            "('b', date '2026-01-03'), (null, null)) as rows (order_id, record_date)"
        )
        state.execute(f"attach '{tmp_path / 'build.duckdb'}' as build (read_only)")
        yield state


def change_build(connection: duckdb.DuckDBPyConnection, folder: Path, *statements: str) -> None:
    """Run statements in the build's file, which is attached to read only."""
    connection.execute("detach build")
    with duckdb.connect(str(folder / "build.duckdb")) as build:
        for statement in statements:
            build.execute(statement)
    connection.execute(f"attach '{folder / 'build.duckdb'}' as build (read_only)")


def rows(connection: duckdb.DuckDBPyConnection, one: Change) -> list[tuple[str | None, str | None]]:
    had, built = shape.read(connection), shape.read(connection, "build")
    for replacement in apply.replacements(connection, [one], built, had):
        for statement in apply.statements(replacement, had, built):
            connection.execute(statement)
    return connection.execute("select order_id, record_date::varchar from records.orders order by all").fetchall()


def test_only_what_matches_goes_nulls_included(connection: duckdb.DuckDBPyConnection) -> None:
    by = {"order_id": "order_id", "record_date": "record_date"}
    assert rows(connection, change(by)) == [("a", "2026-01-01"), ("b", "2026-01-02"), ("b", "2026-01-03")]


def test_a_match_by_date_leaves_other_dates(connection: duckdb.DuckDBPyConnection) -> None:
    assert rows(connection, change({"record_date": "record_date"})) == [("b", "2026-01-02"), ("b", "2026-01-03")]


def test_a_match_may_be_an_expression(connection: duckdb.DuckDBPyConnection) -> None:
    found = rows(connection, change({"record_date": "cast(record_date - interval 2 day as date)"}))
    assert found == [("a", "2026-01-01"), ("b", "2026-01-01"), ("b", "2026-01-02")]


def test_no_match_replaces_the_table(connection: duckdb.DuckDBPyConnection) -> None:
    assert rows(connection, change({}, match="")) == [("b", "2026-01-02")]


def test_a_lake_keeps_some_types_as_others() -> None:
    one = replace(change({}, match=""), columns=("a", "b"), types=("HUGEINT", "BIGINT"))
    replacement, table = Replacement(one, "build.records.orders"), ("records", "orders")
    built = {table: {"a": "HUGEINT", "b": "BIGINT"}}
    kept = {"HUGEINT": "DECIMAL(38,0)"}
    (made,) = apply.statements(replacement, {("records", "other"): {}}, built, kept)
    assert made.endswith("as select cast(a as DECIMAL(38,0)) as a, b from build.records.orders")
    added = apply.statements(replace(replacement, scope="x"), {table: {"b": "BIGINT"}}, built, kept)
    assert any(
        statement.endswith("as select cast(a as DECIMAL(38,0)) as a, b from build.records.orders")
        for statement in added
    )
    matched = replace(replacement, change=replace(one, match_table="keys"))
    assert "alter table records.orders add column a DECIMAL(38,0)" in apply.statements(
        matched, {table: {"b": "BIGINT"}}, built, kept
    )


def test_a_change_without_rows_on_either_side_takes_no_statement(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    change_build(connection, tmp_path, "delete from records.orders; delete from plan.keys")
    built = shape.read(connection, "build")
    had = shape.read(connection)
    (replacement,) = apply.replacements(connection, [change({"order_id": "order_id"})], built, had)
    assert apply.statements(replacement, had, built) == []
    (whole,) = apply.replacements(connection, [change({}, match="")], built, had)
    assert apply.statements(whole, had, built), "a table that is replaced becomes empty"


def test_duplicates_stay_where_the_build_says_so_and_what_it_adds_is_compared(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    def prepare(*, stay: bool) -> tuple[Replacement, list[str]]:
        keys = f"create or replace table plan.keys as select 'a' as order_id, {stay} as duplicates_stay"
        change_build(connection, tmp_path, keys)
        had, built = shape.read(connection), shape.read(connection, "build")
        (replacement,) = apply.replacements(connection, [one], built, had)
        return replacement, apply.statements(replacement, had, built)

    names = ("order_id", "batch_id", "record_no", "fate")
    one = replace(change({"order_id": "order_id"}), columns=names, types=("varchar", "varchar", "integer", "varchar"))
    table = "create or replace table records.orders as select * from (values {}) as rows (order_id, batch_id, record_no, fate)"
    # the new record comes first by the id of its batch, so that the one that was current is a duplicate now
    of_build = "('a', 'b0', 1, 'current'), ('a', 'b1', 1, 'duplicate'), ('a', 'b4', 1, 'duplicate')"
    change_build(connection, tmp_path, table.format(of_build))
    connection.execute(
        table.format("('a', 'b1', 1, 'current'), ('a', 'b2', 1, 'duplicate'), ('z', 'b2', 2, 'duplicate')")
    )

    replacement, made = prepare(stay=True)
    connection.execute("begin")
    for statement in made:
        connection.execute(statement)
    query = "select order_id, batch_id, fate from records.orders order by all"
    assert connection.execute(query).fetchall() == [
        ("a", "b0", "current"), ("a", "b1", "duplicate"), ("a", "b2", "duplicate"), ("a", "b4", "duplicate"), ("z", "b2", "duplicate")
    ]  # fmt: skip
    applied.check_tables(connection, [replacement])
    connection.execute("delete from records.orders where batch_id = 'b4'")
    with pytest.raises(Permanent, match="2 rows instead of the build's 3"):
        applied.check_tables(connection, [replacement])
    connection.execute("rollback")

    replacement, made = prepare(stay=False)
    for statement in made:
        connection.execute(statement)
    assert ("a", "b2", "duplicate") not in connection.execute(query).fetchall()
    applied.check_tables(connection, [replacement])


def test_all_rows_on_a_date_that_the_table_lacks_are_the_builds_though_one_key_stands_for_them(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    change_build(
        connection,
        tmp_path,
        "insert into records.orders values ('c', '2026-01-02'), ('a', '2026-01-01')",
        "create or replace table plan.keys as select 'b' as order_id, date '2026-01-02' as record_date",
        "insert into plan.keys values ('a', '2026-01-01'), (null, null)",
    )
    by = {"order_id": "order_id", "record_date": "record_date"}
    had, built = shape.read(connection), shape.read(connection, "build")
    (replacement,) = apply.replacements(connection, [change(by)], built, had)
    assert replacement.new == "(record_date in (date '2026-01-02'))"
    for statement in apply.statements(replacement, had, built):
        connection.execute(statement)
    applied.check_tables(connection, [replacement])
    connection.execute("insert into records.orders values ('d', '2026-01-02')")
    with pytest.raises(Permanent, match="4 rows instead of the build's 3"):
        applied.check_tables(connection, [replacement])


def test_of_a_table_that_is_a_view_in_the_build_only_the_changed_rows_are_taken(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    change_build(
        connection,
        tmp_path,
        "create schema changed; create table changed.records_orders as from records.orders",
        "drop table records.orders; create view records.orders as from changed.records_orders",
    )
    found = rows(connection, change({"record_date": "record_date"}))
    assert found == [("b", "2026-01-02"), ("b", "2026-01-03")]


def test_a_new_column_is_added_to_the_state(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("alter table records.orders drop column record_date")
    assert rows(connection, change({"order_id": "order_id"})) == [("a", None), ("b", "2026-01-02")]


WHOLE = """
    create schema records; create schema silver; create schema ops; create schema plan; create schema failures;
    create table records.orders as
        select 'b2' as batch_id, date '2026-01-01' as record_date, 'current' as fate, n::bigint as amount from range(3) as t (n);
    create table records.refused (dataset varchar, batch_id varchar, record_date date, fate varchar);
    create table silver.only_for_the_build as select 1 as x;
    create view silver.largest as select max(amount) as amount from records.orders;
    create table main.seed as select 1 as x;
    create table plan.batches as select 'b2' as batch_id;
    create table failures.some_check as select 1 as x;
    create table ops.ledger as
        select 'orders' as dataset, 'b2' as batch_id, date '2026-01-01' as record_date, 'current' as fate, 3 as records;
    create table ops.restatements as select 'two' as build_id, 7::bigint as rows_changed;
    create table ops.builds as select 'two' as build_id, 2::bigint as build_number;
    create table ops.findings as select 'two' as build_id, 'some_check' as check_name;
"""
OLD_STATE = """
    create schema records; create schema ops;
    create table records.orders as select 'b1' as batch_id, date '2020-01-01' as record_date, 'current' as fate, 99::bigint as amount;
    create table ops.restatements as select 'one' as build_id, '5' as rows_changed, true as is_dropped_now;
    create table ops.builds as select 'one' as build_id, 1::bigint as build_number;
    create table ops.findings as select 'one' as build_id, 'some_check' as check_name;
"""


def made(schema: str, table: str, view_sql: str = "") -> Change:
    return Change(
        model=f"{schema}_{table}",
        schema=schema,
        table=table,
        match_schema="",
        match_table="",
        by={},
        columns=(),
        types=(),
        view_sql=view_sql,
        is_published=schema == "ops",
        description=f"What {table} holds.",
    )


@pytest.fixture(params=["full", "first"])
def whole(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Return a full build over an older state, or the first build of a home."""
    home = Home(tmp_path, tmp_path / "landing")
    build = Build(home, "two")
    build.folder.mkdir(parents=True)
    is_full = request.param == "full"
    Plan("two", "one" if is_full else "", 2, is_full, "", "2026-01-01T00:00:00+00:00", (), ()).save(build.folder)
    for file, tables in ((build.file, WHOLE), (home.state, OLD_STATE if is_full else "")):
        with duckdb.connect(str(file)) as database:
            if tables:
                database.execute(tables)
    tables = [("records", "orders"), ("records", "refused"), ("ops", "ledger"), ("ops", "restatements")]
    view = made("silver", "largest", "select max(amount) as amount, 'new' as kind from records.orders")
    changes = [*(made(*one) for one in tables), view]
    monkeypatch.setattr(apply.dbt, "changes", lambda _: changes)
    return build


def everything(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with duckdb.connect(str(path), read_only=True) as database:
        tables = database.execute(
            "select table_schema || '.' || table_name from information_schema.tables order by 1"
        ).fetchall()
        return {name: database.execute(f"from {name} order by all").fetchall() for (name,) in tables}


def test_a_whole_build_becomes_the_state_and_keeps_the_history(whole: Build) -> None:
    is_full, built = whole.plan().full, everything(whole.file)
    apply.apply(whole)
    found = everything(whole.home.state)
    old = {
        "ops.builds": [("one", 1)],
        "ops.findings": [("one", "some_check")],
        "ops.restatements": [("one", 5)],
    }
    kept = ("ops.builds", "ops.findings", "ops.ledger", "ops.restatements", "records.orders", "records.refused")
    wanted = {name: sorted(built[name] + (old.get(name, []) if is_full else [])) for name in kept}
    assert found == {**wanted, "silver.largest": [(2, "new")]}
    assert not whole.file.exists()
    with duckdb.connect(str(whole.home.state), read_only=True) as state:
        left = "select schema_name from duckdb_schemas() where database_name = current_database() and not internal order by 1"
        assert [one for (one,) in state.execute(left).fetchall()] == ["ops", "records", "silver"]
        said = state.execute("select comment from duckdb_tables() where table_name = 'ledger'").fetchall()
        assert said == [("What ledger holds.",)]
    apply.apply(whole)
    assert everything(whole.home.state) == found


def test_a_whole_build_that_differs_from_its_ledger_changes_nothing(whole: Build) -> None:
    with duckdb.connect(str(whole.file)) as database:
        database.execute("delete from records.orders where amount = 1")
    state, build = everything(whole.home.state), everything(whole.file)
    with pytest.raises(Permanent, match="holds 2 current records of batch b2, but the ledger says 3"):
        apply.apply(whole)
    assert (everything(whole.home.state), everything(whole.file)) == (state, build)


def test_a_whole_build_that_was_killed_before_its_rename_is_finished(
    whole: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole.made.touch()

    def stop(aside: Path, name: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(apply.state, "durable_rename", stop)
        with pytest.raises(KeyboardInterrupt):
            apply.apply(whole)
    assert not whole.made.exists(), "an audit would find no plan in the file"
    builds = everything(whole.file)["ops.builds"]
    apply.apply(whole)
    assert everything(whole.home.state)["ops.builds"] == builds == sorted({*builds})
