"""The file that names a lake, and what keeps one from being opened. Lakes themselves: tests/lake."""

import re
from pathlib import Path

import duckdb
import pytest

from ingestion import database, lake
from ingestion.connections import Address
from ingestion.contract import PROJECT
from ingestion.errors import Broken, ClearwellError, Permanent, Transient
from ingestion.home import Home
from ingestion.lake import Lake
from ingestion.s3_store import from_environment

LAKE = Lake("lakes", "/files")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "home" / "warehouse.ducklake"
    for one in (LAKE, Lake("lakes", "s3://bucket/prefix", 7)):
        lake.write(path, one)
        assert lake.read(path) == one
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_the_state_is_in_a_lake_once_the_home_has_its_file(tmp_path: Path) -> None:
    home = Home(tmp_path, tmp_path)
    assert not lake.is_lake(home.state)
    lake.write(home.lake, LAKE)
    assert home.state == home.lake and lake.is_lake(home.state)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"catalog": "lakes"}', '{"catalog": "a", "files": "b", "other": 1}'])
def test_a_damaged_file_is_broken_and_says_what_to_do(tmp_path: Path, text: str) -> None:
    path = tmp_path / "warehouse.ducklake"
    path.write_text(text)
    with pytest.raises(Broken, match="clearwell lake use"):
        lake.read(path)


def test_without_its_connection_it_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_LAKES", raising=False)
    path = tmp_path / "warehouse.ducklake"
    lake.write(path, LAKE)
    with pytest.raises(Permanent, match="AIRFLOW_CONN_LAKES"), database.connect(path):
        pass


def test_without_the_extensions_it_says_how_to_install_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_LAKES", "postgresql://user:secret@127.0.0.1:1/lake")
    monkeypatch.setattr(lake, "find_spec", lambda name: None)
    path = tmp_path / "warehouse.ducklake"
    lake.write(path, LAKE)
    with pytest.raises(Permanent, match="make lake"), database.connect(path):
        pass


@pytest.mark.parametrize(
    ("said", "kind", "todo"),
    [
        ('Unable to connect to Postgres at "{url}": refused', Transient, "its server runs"),
        ('DATA_PATH parameter "/a/" does not match existing data path', Permanent, "the place that the other machines"),
        ("Secret Validation Failure: during `create`", Permanent, "AWS_PROFILE, or give the machine a role"),
        ("something about {url}\nand more", Permanent, "clearwell lake use"),
    ],
)
def test_errors_do_not_repeat_the_address(said: str, kind: type[ClearwellError], todo: str) -> None:
    address = Address("postgresql://user:secret@host/lake", "AIRFLOW_CONN_LAKES")
    with pytest.raises(kind, match=todo) as caught, lake._told(LAKE, address):
        raise duckdb.IOException(said.format(url=address.url))
    assert "secret" not in str(caught.value) and caught.value.__suppress_context__


def secret(**env: str) -> str:
    return lake._s3_secret(from_environment(env))


def test_the_keys_of_s3_are_the_usual_variables() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "it's", "AWS_SECRET_ACCESS_KEY": "b"}
    assert secret(**keys) == "create or replace secret lake (type s3, key_id 'it''s', secret 'b')"
    near = secret(**keys, AWS_REGION="eu", AWS_SESSION_TOKEN="t", AWS_ENDPOINT_URL="http://127.0.0.1:9000")
    assert near.endswith("session_token 't', region 'eu', endpoint '127.0.0.1:9000', url_style 'path', use_ssl False)")
    assert "use_ssl True" in secret(**keys, AWS_ENDPOINT_URL_S3="https://store")


def test_without_a_key_a_profile_or_a_role_is_looked_for() -> None:
    for given in ({}, {"AWS_ACCESS_KEY_ID": "without its secret"}):
        assert "provider credential_chain" in secret(**given) and "key_id" not in secret(**given)
    assert secret(AWS_PROFILE="me", AWS_REGION="eu").endswith("refresh auto, region 'eu')")


def test_no_column_has_a_type_that_a_lake_keeps_another_as() -> None:
    texts = [path.read_text() for path in (PROJECT / "models").rglob("*.yml")]
    found = {
        kind.replace(" ", "").upper()
        for text in texts
        for kind in re.findall(r"data_type: *(\w+(?:\([\d, ]+\))?)", text)
    }
    assert {"HUGEINT", "DECIMAL(18,4)"} <= found and not found & {*lake.KEPT_AS.values()}
