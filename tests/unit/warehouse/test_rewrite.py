"""The state's file loses its free blocks, and nothing else."""

from pathlib import Path

import duckdb
import pytest

from ingestion.errors import Permanent
from ingestion.home import Home
from warehouse import rewrite, state

MAKE = """
    create schema records; create schema silver;
    create table records.orders as select n as order_id, md5(n::varchar) as text, {'n': n} as made from range(200000) as t (n);
    create view silver.orders as select count(*) as orders from records.orders;
    comment on table records.orders is 'what landed';
    comment on column records.orders.text is 'a text';
    create table records.gone as from records.orders;
    checkpoint;
    drop table records.gone;
    checkpoint;
"""
CONTENT = "select count(*), sum(hash(one)) from records.orders as one"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return a home whose state has as many free blocks as used ones."""
    home = Home(tmp_path, tmp_path / "landing")
    with duckdb.connect(str(home.state), config={"storage_compatibility_version": "v1.5.0"}) as connection:
        connection.execute(MAKE)
    return home


def read(home: Home, query: str) -> list[tuple[object, ...]]:
    with state.connect(home.state) as connection:
        return connection.execute(query).fetchall()


def test_the_rewritten_file_holds_the_same_in_fewer_bytes(home: Home) -> None:
    before, content = rewrite.usage(home.state), read(home, CONTENT)
    rewrite.rewrite(home)
    after = rewrite.usage(home.state)
    assert before.free_bytes > 2_000_000
    assert after.free_bytes == 0
    assert after.bytes <= before.bytes - before.free_bytes + 1_000_000
    assert read(home, CONTENT) == content
    assert read(home, "from silver.orders") == [(200000,)]
    said = (
        "select comment from duckdb_tables() union all select comment from duckdb_columns() where column_name = 'text'"
    )
    assert read(home, said) == [("what landed",), ("a text",)]
    version = "select tags['storage_version'] from duckdb_databases() where not internal"
    assert "v1.5.0" in str(read(home, version))
    assert not rewrite.aside(home).exists()


def test_a_rewrite_that_was_killed_changes_nothing_and_the_next_one_ends_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, before = read(home, CONTENT), home.state.read_bytes()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(state, "durable_rename", killed)
        with pytest.raises(KeyboardInterrupt):
            rewrite.rewrite(home)
    assert home.state.read_bytes() == before
    assert rewrite.aside(home).exists()
    rewrite.rewrite(home)
    assert not rewrite.aside(home).exists()
    assert read(home, CONTENT) == content


def test_a_copy_that_differs_never_becomes_the_state(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    before = home.state.read_bytes()

    def lossy(connection: duckdb.DuckDBPyConnection, _: object) -> None:
        connection.execute("delete from records.orders where order_id = 7")

    monkeypatch.setattr(rewrite.comments, "write", lossy)
    with pytest.raises(Permanent, match=r"differs from the state in records\.orders"):
        rewrite.rewrite(home)
    assert home.state.read_bytes() == before


@pytest.mark.parametrize(
    ("used", "free", "is_worth"),
    [
        (100_000_000, 0, False),
        (70_000_000, 60_000_000, False),
        (200_000_000, 90_000_000, False),
        (200_000_000, 110_000_000, True),
    ],
)
def test_a_file_is_rewritten_for_what_it_gives_back(used: int, free: int, is_worth: bool) -> None:
    assert rewrite.Usage(used, free).is_worth_rewriting is is_worth


def test_a_file_that_does_not_exist_has_no_bytes(tmp_path: Path) -> None:
    assert rewrite.usage(tmp_path / "warehouse.duckdb") == rewrite.Usage(0, 0)
