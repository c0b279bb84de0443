"""Connections by name: each way of writing one leads to the same address, and no error shows a password."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from ingestion.connections import find, find_primary, needed, variable
from ingestion.contract import read_contracts
from ingestion.errors import Permanent
from ingestion.file_settings import Files
from ingestion.home import Home

HOME = Home(Path("home"), Path("landing"))
PARTS = {"host": "db.example", "port": "5433", "user": "me@work", "password": "p@ss/w:rd %", "dbname": "erp"}
JSON = {
    "conn_type": "postgres", "host": "db.example", "port": 5433, "login": "me@work", "password": "p@ss/w:rd %", "schema": "erp"
}  # fmt: skip
SECRET = "s3cret"


def found(text: str, name: str = "erp") -> dict[str, object]:
    address = find(name, HOME, {variable(name): text})
    assert address.given_as == variable(name)
    assert "p@ss" not in repr(address)
    return conninfo_to_dict(address.url)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_an_address_is_percent_encoded(scheme: str) -> None:
    assert found(f"{scheme}://me%40work:p%40ss%2Fw%3Ard%20%25@db.example:5433/erp") == PARTS


def test_airflows_json_is_the_same() -> None:
    assert found(json.dumps(JSON)) == PARTS
    assert found(json.dumps({**JSON, "extra": {"sslmode": "require", "cursor": "dictcursor"}})) == {
        **PARTS,
        "sslmode": "require",
    }
    assert found(json.dumps({**JSON, "extra": json.dumps({"connect_timeout": 7})})) == {
        **PARTS,
        "connect_timeout": "7",
    }


def test_options_that_only_airflow_reads_are_left_out() -> None:
    nested = "__extra__=%7B%22sslmode%22%3A+%22require%22%7D"
    url = "postgres://me%40work:p%40ss%2Fw%3Ard%20%25@db.example:5433/erp"
    assert found(f"{url}?cursor=dictcursor&sslmode=require") == {**PARTS, "sslmode": "require"}
    assert found(f"{url}?{nested}") == {**PARTS, "sslmode": "require"}


text = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1)


@given(password=text, login=text)
def test_any_user_and_password_arrive(password: str, login: str) -> None:
    parts = found(json.dumps({**JSON, "password": password, "login": login}))
    assert (parts["user"], parts["password"]) == (login, password)


def test_the_shop_has_its_own_address() -> None:
    home = Home(Path("home"), Path("landing"), "postgresql://shop.example/shop")
    assert find("shop", home, {}).given_as == "SHOP_DATABASE_URL"
    assert find("shop", home, {}).url == "postgresql://shop.example/shop"
    assert find("shop", home, {"AIRFLOW_CONN_SHOP": "postgres://other/x"}).given_as == "AIRFLOW_CONN_SHOP"


def test_a_primary_may_be_unset_for_the_shop_alone() -> None:
    home = Home(Path("home"), Path("landing"), primary_url="postgresql://first.example/shop")
    found = find_primary("shop_primary", home, {})
    assert found and (found.given_as, found.url) == ("SHOP_PRIMARY_URL", "postgresql://first.example/shop")
    found = find_primary("shop_primary", home, {"AIRFLOW_CONN_SHOP_PRIMARY": "postgres://other/x"})
    assert found and found.given_as == "AIRFLOW_CONN_SHOP_PRIMARY"
    assert find_primary("shop_primary", HOME, {}) is None and find_primary(None, HOME, {}) is None
    with pytest.raises(Permanent, match="there is no connection 'erp_primary'"):
        find_primary("erp_primary", HOME, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no connection 'erp'"),
        (f"mysql://u:{SECRET}@h/db", "mysql"),
        (json.dumps({**JSON, "conn_type": "mysql", "password": SECRET}), "mysql"),
        (f'{{"password": "{SECRET}"', "cannot be read"),
        (json.dumps({**JSON, "password": SECRET, "extra": "x"}), "cannot be read"),
        (json.dumps({**JSON, "password": SECRET, "extra": [1]}), "cannot be read"),
        (json.dumps({**JSON, "password": SECRET, "extra": {"sslmod": "require"}}), "sslmod"),
        (json.dumps({**JSON, "password": SECRET, "extra": {"iam": True}}), "IAM"),
    ],
)
def test_a_wrong_connection_names_its_variable_and_shows_no_password(text: str, said: str) -> None:
    with pytest.raises(Permanent) as refused:
        find("erp", HOME, {"AIRFLOW_CONN_ERP": text})
    told = str(refused.value)
    assert said in told and "AIRFLOW_CONN_ERP" in told and SECRET not in told


@pytest.fixture
def settings() -> Callable[[str], SimpleNamespace]:
    return lambda name: SimpleNamespace(settings=SimpleNamespace(connection=name))


def test_a_source_needs_the_connections_of_its_contracts(settings: Callable[[str], SimpleNamespace]) -> None:
    assert needed([settings("erp"), settings("erp"), settings("crm")]) == ("crm", "erp")  # type: ignore[list-item]
    assert needed(read_contracts().values()) == ("shop", "shop_primary")


def test_a_source_of_files_needs_the_connection_that_its_location_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def of(*locations: str) -> tuple[str, ...]:
        return needed(SimpleNamespace(settings=Files(one)) for one in locations)  # type: ignore[misc]

    monkeypatch.setenv("EXPORTS", "sftp://partner/in")
    assert of("${EXPORTS}/{date}.csv", "sftp://other/*.csv", "${NOT_SET}/a", "sftp://me@host.example/a") == (
        "other",
        "partner",
    )
