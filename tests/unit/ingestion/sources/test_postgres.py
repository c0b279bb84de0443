import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ingestion.errors import ClearwellError, Permanent, Transient
from ingestion.home import Home
from ingestion.landing import Landing
from ingestion.sources.postgres import snapshot

Shop = psycopg.Connection[Any]
Land = Callable[..., Landing]
SECRET = "s3cret"


def failure(url: str, query: str = "select 1") -> ClearwellError:
    with pytest.raises(ClearwellError) as caught, snapshot(url) as connection:
        connection.execute(query)  # type: ignore[call-overload]
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_snapshot_can_only_read(postgres: str):
    assert "read-only" in str(failure(postgres, "create table t ()"))


def test_nobody_there_is_worth_another_try():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    error = failure(f"postgresql://shop:{SECRET}@127.0.0.1:{port}/shop")
    assert isinstance(error, Transient)
    assert f"database shop on 127.0.0.1:{port}" in str(error)


@pytest.fixture
def stranger(postgres: str) -> Iterator[str]:
    """The address of a user who must give a password, where the embedded server asks nobody for one."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("create role stranger login password 'right'")
        hba = Path(connection.execute("show hba_file").fetchone()[0])  # type: ignore[index]
        before = hba.read_text()
        hba.write_text("host all stranger 127.0.0.1/32 scram-sha-256\n" + before)
        connection.execute("select pg_reload_conf()")
        yield postgres.replace("//postgres@", "//stranger:{password}@")
        hba.write_text(before)
        connection.execute("select pg_reload_conf()")
        connection.execute("drop role stranger")


def test_a_wrong_password_is_not(stranger: str):
    error = failure(stranger.format(password=SECRET))
    assert isinstance(error, Permanent)
    assert "password" in str(error) and "SHOP_DATABASE_URL" in str(error)


def test_no_connection_left_is_worth_another_try(stranger: str, postgres: str):
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("alter role stranger connection limit 0")
    assert isinstance(failure(stranger.format(password="right")), Transient)


def test_a_user_without_rights_is_told_what_to_ask_for(shop: Shop, stranger: str):
    error = failure(stranger.format(password="right"), "select * from shop.orders")
    assert isinstance(error, Permanent)
    assert "grant" in str(error)


def test_an_unknown_database_names_it(postgres: str):
    error = failure(postgres.removesuffix("postgres") + "nowhere")
    assert isinstance(error, Permanent)
    assert "nowhere" in str(error) and "SHOP_DATABASE_URL" in str(error)


@pytest.mark.parametrize(
    "url", [f"postgresql://u:{SECRET}@x@host/db", f"postgres:/{SECRET}", f"postgresql://u:{SECRET}@h:p/d"]
)
def test_an_address_that_cannot_be_read_does_not_tell_the_password(url: str):
    assert isinstance(failure(url), ClearwellError)


@pytest.mark.parametrize(
    ("ruin", "said"),
    [
        ("drop table shop.products", "products"),
        ("drop schema shop cascade", "schema `shop`"),
        ("alter table shop.orders rename column ordered_at to placed_at", "ordered_at"),
        ("alter table shop.orders rename column order_id to id", "order_id"),
    ],
)
def test_what_is_missing_is_named(shop: Shop, shop_home: Home, land: Land, ruin: str, said: str):
    shop.execute(ruin)  # type: ignore[call-overload]
    with pytest.raises(Permanent) as caught:
        land("orders", "2026-11-01", "2026-11-02", home=shop_home)
    assert said in str(caught.value)


def test_a_time_out_and_a_lost_connection_are_worth_another_try(postgres: str):
    slow = "select set_config('statement_timeout', '10ms', true), pg_sleep(0)"
    with pytest.raises(Transient, match="timeout"), snapshot(postgres) as connection:
        connection.execute(slow)
        connection.execute("select pg_sleep(5)")
    assert isinstance(failure(postgres, "select pg_terminate_backend(pg_backend_pid())"), Transient)
