"""Ids that a contract says are hashed: real builds publish hashes by another's formula, nothing tells an id or the key, and `forget` takes both."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ingestion.contract import Contract, read_contracts
from ingestion.home import Home
from operations import hashes, ledger
from tests.pipeline.delivery import land_rows
from tests.pipeline.test_canaries import LOOK, Told, keep_files, typed
from tests.pipeline.test_forget import CUSTOMER, ID, NOW, VISITOR, customer, deliver, everything, left
from warehouse import keyed_hashes, state

KEY = "c4n4ry-key-of-24-characters"
HASHED = {"customer_id": ID, "visitor_id": VISITOR}


def by_hand(column: str, value: str) -> str:
    inner = hashlib.sha256(f"{KEY}{column}:{value}".encode()).hexdigest()
    return hashlib.sha256(f"{KEY}{inner}".encode()).hexdigest()[:32]


def hashed(contract: Contract) -> Contract:
    columns = (replace(one, hashed_with="ids") if one.name in HASHED else one for one in contract.columns)
    return replace(contract, columns=tuple(columns))


@pytest.fixture(scope="module")
def hashing() -> Iterator[None]:
    """Let every contract say that customers and visitors are hashed."""
    contracts = {name: hashed(one) for name, one in read_contracts().items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keyed_hashes, "read_contracts", lambda: contracts)
        patch.setenv("AIRFLOW_CONN_IDS", json.dumps({"conn_type": "generic", "password": KEY}))
        yield


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, hashing: None) -> tuple[Home, Told]:
    """Return a home that was built twice, the second time with one more customer, and all that commands told of it."""
    root = tmp_path_factory.mktemp("hashed")
    home, told = Home(root / "home", root / "landing"), Told()
    home.root.mkdir()
    deliver(home)
    with typed(home, told, CLEARWELL_LOG="json") as run:
        assert run("build") == 0
        land_rows(home, "customers", CUSTOMER, [customer("cust-4", "jo@shop.example", "Jo")], NOW)
        assert run("build") == 0
        for command in LOOK:
            run(command)
        keep_files(home, told)
    return home, told


def ids(path: Path, column: str) -> dict[str, set[str]]:
    """Return the values of a column in every table of a file that has it."""
    with state.connect(path) as connection:
        query = "select schema_name as s, table_name as t from duckdb_columns() where column_name = ? and schema_name in ('gold', 'silver')"
        tables = connection.execute(query, [column]).fetchall()
        return {
            f"{schema}.{table}": {
                one for (one,) in connection.execute(f'select "{column}" from {schema}."{table}"').fetchall() if one
            }
            for schema, table in tables
        }


@pytest.mark.parametrize("column", HASHED)
def test_every_table_that_readers_get_has_the_hashes_of_the_ids_of_the_state(
    built: tuple[Home, Told], column: str
) -> None:
    home, _ = built
    known, given = ids(home.state, column), ids(home.published, column)
    assert {"customer_id": "gold.customers", "visitor_id": "gold.visitor_features"}[column] in given
    assert any(HASHED[column] in found for found in known.values())
    for table, found in given.items():
        assert found == {by_hand(column, one) for one in known[table]}, table


def test_nothing_that_readers_get_or_that_is_told_has_an_id_or_the_key(built: tuple[Home, Told]) -> None:
    home, told = built
    text = everything(home.published)
    assert ID not in text and VISITOR not in text and by_hand("customer_id", ID) in text
    assert told.with_canaries() == {}
    assert not [name for name, one in told.texts.items() if KEY in one or by_hand("customer_id", ID) in one]
    assert not [path for path in home.root.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


@pytest.mark.long
def test_published_tables_agree_with_the_state_and_a_full_build_with_both(built: tuple[Home, Told]) -> None:
    home, told = built
    assert ledger.recount(home) == ([], True)
    before, shown = hashes.read(home), ids(home.published, "customer_id")
    with typed(home, told) as run:
        assert run("build --full --reason again") == 0
    assert hashes.read(home) == before and ids(home.published, "customer_id") == shown


def test_after_forget_neither_the_ids_nor_their_hashes_are_anywhere(built: tuple[Home, Told]) -> None:
    home, told = built
    with typed(home, told) as run:
        assert run(f"forget {ID} --reason asked") == 0
        assert run(f"forget {ID} --check") == 0
    assert left(home) == {}
    gone = {by_hand(column, value) for column, value in HASHED.items()}
    for path in sorted(home.root.rglob("*")):
        if path.is_file() and path.suffix != ".parquet":
            text = path.read_bytes().decode("utf-8", "replace") + (everything(path) if path.suffix == ".duckdb" else "")
            assert not [one for one in gone if one in text], path
    assert by_hand("customer_id", "cust-2") in ids(home.published, "customer_id")["gold.customers"]
    assert ledger.recount(home) == ([], True)
