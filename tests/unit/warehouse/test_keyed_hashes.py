"""Readers get keyed hashes of the ids that a contract says so about: equal for equal ids, other ones with another key."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from ingestion.contract import Contract, read_contracts
from ingestion.errors import Permanent
from ingestion.home import Home
from operations import ledger
from warehouse import keyed_hashes, publish
from warehouse.keyed_hashes import Key

AT = datetime(2026, 11, 3, tzinfo=UTC)
KEY, OTHER = "a-secret-of-24-characters", "another-one-of-characters"


def hashed(contract: Contract, name: str, connection: str | None = "ids") -> Contract:
    columns = (replace(one, hashed_with=connection) if one.name == name else one for one in contract.columns)
    return replace(contract, columns=tuple(columns))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Return a home with a state, whose customers' ids are hashed by the contracts."""
    contracts = read_contracts()
    contracts = contracts | {"customers": hashed(contracts["customers"], "customer_id")}
    # in one contract it is enough: the column is hashed in every table
    monkeypatch.setattr(keyed_hashes, "read_contracts", lambda: contracts)
    monkeypatch.setenv("AIRFLOW_CONN_IDS", f'{{"conn_type": "generic", "password": "{KEY}"}}')
    home = Home(tmp_path, tmp_path / "landing")
    build(home, 1)
    return home


def build(home: Home, number: int) -> None:
    home.state.unlink(missing_ok=True)
    with duckdb.connect(str(home.state)) as state:
        for schema in ("ops", "gold", "silver"):
            state.execute(f"create schema {schema}")
        state.execute(f"create table ops.builds as select 'b{number}' as build_id, {number}::bigint as build_number")
        state.execute(
            "create table gold.customers as from (values ('c1', 3), ('ü''2', 4), (null, 5)) t(customer_id, orders)"
        )
        state.execute("comment on column gold.customers.customer_id is 'The customer.'")
        state.execute("create table silver.customers as select 'c1' as customer_id, 'DE' as country")
        state.execute("create table silver.customer_standing as select 'c1' as Customer_ID, 'good' as standing")


def given(path: Path, table: str) -> list[tuple]:
    with duckdb.connect(str(path), read_only=True) as published:
        return published.execute(f"from {table} order by all").fetchall()


def by_hand(value: str, key: str = KEY) -> str:
    inner = hashlib.sha256(f"{key}customer_id:{value}".encode()).hexdigest()
    return hashlib.sha256(f"{key}{inner}".encode()).hexdigest()[:32]


def test_readers_get_hashes_that_join_and_the_state_keeps_the_ids(home: Home) -> None:
    publish.catch_up(home)
    found = {orders: one for one, orders in given(home.published, "gold.customers")}
    assert found == {3: by_hand("c1"), 4: by_hand("ü'2"), 5: None}
    assert Key(KEY).hash("Customer_ID", "c1") == by_hand("c1")
    query = "select standing from gold.customers join silver.customer_standing using (customer_id)"
    with duckdb.connect(str(home.published), read_only=True) as published:
        assert published.execute(query).fetchall() == [("good",)]
        (said,) = published.execute(
            "select comment from duckdb_columns() where schema_name = 'gold' and column_name = 'customer_id'"
        ).fetchone()
    assert said == f"The customer. A keyed hash, made with the key {Key(KEY).name}."
    assert ("c1", 3) in given(home.state, "gold.customers")
    assert ledger._published(home) == []
    body = home.published.read_bytes()
    assert KEY.encode() not in body


def test_the_same_key_gives_the_same_hashes_and_another_one_others(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    publish.catch_up(home)
    before = given(home.published, "gold.customers")
    build(home, 2)
    publish.catch_up(home)
    assert given(home.published, "gold.customers") == before
    monkeypatch.setenv("AIRFLOW_CONN_IDS", f"generic://:{OTHER}@")
    assert ledger._published(home), "a new key is told until the next publish"
    build(home, 3)
    publish.catch_up(home)
    assert {one for one, _ in given(home.published, "gold.customers")} == {
        by_hand("c1", OTHER),
        by_hand("ü'2", OTHER),
        None,
    }


def test_a_kept_state_is_not_hashed_twice(home: Home) -> None:
    publish.catch_up(home)
    before = given(home.published, "gold.customers")
    build(home, 2)
    publish.catch_up(home)
    publish.pin(home, "b1", "b2 is wrong", "me", AT)
    assert given(home.published, "gold.customers") == before


def test_without_a_key_nothing_is_published_and_no_word_of_one_is_told(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in ("", "{}", "generic://host", '{"password": "short"}'):
        monkeypatch.setenv("AIRFLOW_CONN_IDS", text)
        with pytest.raises(Permanent, match=r"AIRFLOW_CONN_IDS|fewer than 16") as raised:
            publish.publish_state(home)
        assert "short" not in str(raised.value)
    assert not home.published.exists() and KEY not in repr(keyed_hashes.Key(KEY))


def test_one_column_has_one_key() -> None:
    contracts = read_contracts()
    one, other = hashed(contracts["orders"], "customer_id"), hashed(contracts["clickstream"], "customer_id", "others")
    with pytest.raises(Permanent, match="one contract"):
        keyed_hashes.named({"orders": one, "clickstream": other})
    assert keyed_hashes.named({"orders": one}) == {"customer_id": "ids"} and keyed_hashes.named(contracts) == {}


def test_hashes_of_ids_are_looked_for_as_well() -> None:
    keys = {"customer_id": Key(KEY)}
    assert keyed_hashes.of_ids({"customer_id": ["c1"], "visitor_id": ["v"]}, keys) == {by_hand("c1")}
