"""What keeps a state from going into a lake, and a build from being committed. Lakes themselves: tests/lake."""

import pickle
from pathlib import Path

import duckdb
import pytest

from ingestion import lake
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.lake import Lake
from warehouse import lakehouse


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home, where creating a lake does nothing."""
    monkeypatch.setattr(lake, "create", lambda wanted: None)
    return Home(tmp_path / "home", tmp_path)


def test_a_lake_is_used_and_used_again(home: Home, tmp_path: Path) -> None:
    for _ in range(2):
        used = lakehouse.use(home, "lakes", str(tmp_path / "files"))
        assert used == lake.read(home.state) == Lake("lakes", str(tmp_path / "files"))


def test_a_relative_folder_is_made_absolute_and_an_address_is_not(home: Home) -> None:
    assert lakehouse.use(home, "lakes", "files").files == str(Path("files").absolute())
    home.lake.unlink()
    assert lakehouse.use(home, "lakes", "s3://bucket/prefix").files == "s3://bucket/prefix"


def test_a_state_in_another_lake_stays_there(home: Home) -> None:
    lakehouse.use(home, "lakes", "/files")
    with pytest.raises(Permanent, match="in another lake already"):
        lakehouse.use(home, "lakes", "/others")
    assert lake.read(home.lake).files == "/files"


def test_other_addresses_are_refused_without_showing_them(home: Home) -> None:
    with pytest.raises(Permanent, match="a folder or in S3") as caught:
        lakehouse.use(home, "lakes", "https://user:secret@host/files")
    assert "secret" not in str(caught.value) and not home.lake.exists()


def test_a_lake_that_cannot_be_created_is_not_used(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(wanted: Lake) -> None:
        raise Permanent("no")

    monkeypatch.setattr(lake, "create", refuse)
    with pytest.raises(Permanent):
        lakehouse.use(home, "lakes", "/files")
    assert not home.lake.exists()


def test_a_state_in_a_file_has_no_earlier_builds(home: Home) -> None:
    for ask in (lambda: lakehouse.builds(home.state), lambda: lakehouse.find(home.state, "a")):
        with pytest.raises(Permanent, match="builds restore"):
            ask()


def test_who_overtook_is_said_also_between_processes() -> None:
    for error in (lakehouse.overtaken("b", "a"), lakehouse.overtaken("b")):
        again = pickle.loads(pickle.dumps(error))
        assert isinstance(again, lakehouse.Overtaken) and str(again) == str(error) and "clearwell build" in str(error)
    assert "build a has changed the state since build b" in str(lakehouse.overtaken("b", "a"))


def test_only_a_conflict_of_transactions_is_one() -> None:
    assert lakehouse.is_conflict(duckdb.TransactionException("Transaction conflict - attempting to insert"))
    assert not lakehouse.is_conflict(duckdb.TransactionException("cannot start a transaction"))
    assert not lakehouse.is_conflict(duckdb.IOException("Transaction conflict"))


def test_an_error_undoes_all_and_a_conflict_is_told_as_one() -> None:
    with duckdb.connect() as connection:
        connection.execute("create table t (a int)")
        for error, kind in (
            (ValueError("no"), ValueError),
            (duckdb.TransactionException("Transaction conflict"), lakehouse.Overtaken),
            (duckdb.TransactionException("other"), duckdb.TransactionException),
        ):
            with pytest.raises(kind), lakehouse.transaction(connection, "b"):
                connection.execute("insert into t values (1)")
                raise error
        assert connection.execute("from t").fetchall() == []
        with lakehouse.transaction(connection, "b"):
            connection.execute("insert into t values (1)")
        assert connection.execute("from t").fetchall() == [(1,)]
