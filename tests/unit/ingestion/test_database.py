import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from ingestion import database
from ingestion.errors import Transient

HOLD = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    # the quote in the name must be escaped in SQL
    made = tmp_path / "it's.duckdb"
    with duckdb.connect(str(made)) as connection:
        connection.execute("create table t as select 1 as n")
    return made


@pytest.fixture
def other(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Run another process that has the file open for writing."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_file_that_stays_held_is_given_up(path: Path, other: subprocess.Popen[str]):
    given_up = pytest.raises(Transient, match=r"another process .* holds the database")
    with given_up, database.connect(path, patience=0.2):
        pass
    with duckdb.connect() as connection, given_up, database.attached(connection, path, "there", patience=0.2):
        pass


def test_a_file_that_is_let_go_is_read(path: Path, other: subprocess.Popen[str]):
    with duckdb.connect() as connection:
        other.kill()
        with database.attached(connection, path, "there"):
            assert connection.execute("select n from there.t").fetchone() == (1,)
        with database.attached(connection, path, "there"):
            assert connection.execute("select n from there.t").fetchone() == (1,)
        with pytest.raises(duckdb.CatalogException):
            connection.execute("select n from there.t")


@pytest.mark.parametrize(("bytes_", "threads"), [(None, "all"), (31_999_999, "one"), (32_000_000, "all")])
def test_a_small_file_is_read_by_one_thread(tmp_path: Path, bytes_: int | None, threads: str):
    path = tmp_path / "a.duckdb"
    if bytes_:
        with database.connect(path, read_only=False) as connection:
            connection.execute("create table a as select 1 as b")
        with path.open("ab") as file:
            file.truncate(bytes_)
    with duckdb.connect() as connection:
        (all_of_them,) = connection.execute("select current_setting('threads')").fetchall()[0]
    with database.connect(path, read_only=False) as connection:
        (found,) = connection.execute("select current_setting('threads')").fetchall()[0]
    assert found == {"all": all_of_them, "one": 1}[threads]


@pytest.mark.parametrize("amount", ["1GB", "1 GiB", "250MB", "1.5gb", "2TiB", "900KB", ""])
def test_memory_in_bytes_is_what_duckdb_takes(amount: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(database.MEMORY, amount)
    with duckdb.connect(config={"memory_limit": database.memory()}) as connection:
        query = "select current_setting('memory_limit')"
        (shown,) = connection.execute(query).fetchall()[0]
        # DuckDB shows one digit after the point
        connection.execute(f"set memory_limit = '{int(database.memory_bytes())}B'")
        assert connection.execute(query).fetchall() == [(shown,)]


def _depth_after_change(path: Path) -> int:
    """Change a setting of an opened file's DuckDB, open the file again, and return the setting."""
    with database.connect(path) as connection:
        connection.execute("set global max_expression_depth = 77")
    with database.connect(path) as connection:
        found = connection.execute("select current_setting('max_expression_depth')").fetchone()
    assert found
    return int(found[0])


def test_a_file_that_is_kept_open_is_opened_once(tmp_path: Path) -> None:
    path = tmp_path / "state.duckdb"
    with database.kept_open(path):
        assert not path.exists()
    duckdb.connect(str(path)).close()
    assert _depth_after_change(path) != 77
    with database.kept_open(path):
        assert _depth_after_change(path) == 77
    with database.connect(path, read_only=False) as connection:  # it is closed again
        assert connection.execute("select current_setting('max_expression_depth')").fetchone() != (77,)


def test_a_file_that_is_kept_open_to_be_written_is_shared_by_those_who_read_it(tmp_path: Path) -> None:
    path = tmp_path / "build.duckdb"
    duckdb.connect(str(path)).close()
    with pytest.raises(duckdb.InvalidInputException), database.connect(path) as connection:
        connection.execute("create table found (n int)")
    with database.kept_open(path, read_only=False):
        with database.connect(path, read_only=False) as connection:
            connection.execute("create table found as select 1 as n")
        assert _depth_after_change(path) == 77
        with database.connect(path) as connection:
            assert connection.execute("from found").fetchall() == [(1,)]
    assert not database.write_ahead(path).exists()
    with pytest.raises(duckdb.InvalidInputException), database.connect(path) as connection:
        connection.execute("drop table found")
