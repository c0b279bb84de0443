import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ingestion.errors import ClearwellError, Permanent, Transient
from ingestion.home import Home
from ingestion.land import Landing
from ingestion.sources.postgres import Standby, behind, snapshot

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
    """Yield the address of a user who must give a password; the embedded server asks nobody else for one."""
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


@pytest.mark.parametrize(
    "more",
    [
        "sslmode=requird",
        "target_session_attrs=sometimes",
        "channel_binding=maybe",
        "require_auth=nobody",
        "gssencmode=x",
    ],
)
def test_a_word_in_the_address_that_means_nothing_is_for_good(postgres: str, more: str):
    error = failure(postgres.replace("//postgres@", f"//postgres:{SECRET}@") + f"?{more}")
    assert isinstance(error, Permanent)
    assert more.split("=")[1] in str(error) and "write postgresql://" in str(error)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{SECRET}@h/db?ssl_mode=require",
        f"postgresql://u:{SECRET}@h:99999/db",
        f"postgresql://u:{SECRET}@h:0/db",
        f"host=h port=54a2 password={SECRET}",
        f"host=h port={SECRET}",
        f"postgresql://u:54/{SECRET}@h/db",  # a / in the password
        f"postgresql://u:{SECRET}@my host/db",
        f"mysql://u:{SECRET}@h/db",
    ],
)
def test_an_address_that_cannot_be_right_is_for_good(url: str):
    error = failure(url)
    assert isinstance(error, Permanent) and "SHOP_DATABASE_URL" in str(error)


@pytest.mark.parametrize(
    ("url", "part"),
    [
        (f"postgresql://u:{SECRET}@${{DB_HOST}}/db", "host"),
        (f"postgresql://u:{SECRET}@$DB_HOST/db", "host"),
        (f"postgresql://u:{SECRET}@{{{{host}}}}/db", "host"),
        (f"postgresql://u:{SECRET}@<host>:5432/db", "host"),
        (f"postgresql://u:{SECRET}@h/${{DB}}", "dbname"),
        (f"postgresql://<user>:{SECRET}@h/db", "user"),
        ("postgresql://u:${SHOP_PASSWORD}@h/db", "password"),
        ("postgresql://u:<password>@h/db", "password"),
    ],
)
def test_an_address_that_nobody_filled_in_names_the_part(url: str, part: str):
    error = failure(url)
    assert isinstance(error, Permanent) and f"placeholder for its {part}" in str(error)


@pytest.mark.parametrize("password", ["$ecret", "a%24b", "{x}", "100%25"])
def test_a_password_may_look_odd(stranger: str, postgres: str, password: str):
    assert "password authentication failed" in str(failure(stranger.format(password=password)))


def test_a_host_that_does_not_resolve_may_do_so_later():
    assert isinstance(failure(f"postgresql://u:{SECRET}@nowhere.invalid/db"), Transient)


def test_a_policy_that_hides_rows_is_an_error_and_never_fewer_rows(shop: Shop, stranger: str):
    shop.execute("grant usage on schema shop to stranger")
    shop.execute("grant select on shop.orders to stranger")
    shop.execute("alter table shop.orders enable row level security")
    shop.execute("create policy few on shop.orders using (status = 'paid')")
    error = failure(stranger.format(password="right"), "select * from shop.orders")
    assert isinstance(error, Permanent) and "BYPASSRLS" in str(error)
    shop.execute("alter role stranger bypassrls")
    with snapshot(stranger.format(password="right")) as connection:
        assert connection.execute("select count(*) from shop.orders").fetchone() == (0,)
    shop.execute("drop schema shop cascade")


END, AT = datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 2, 0, 10, tzinfo=UTC)
BEFORE, AFTER = END - timedelta(seconds=1), END + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("standby", "is_there"),
    [
        # a commit at or after the end has been replayed
        (Standby(END, None, False, False), True),
        (Standby(AFTER, BEFORE, True, False), True),
        (Standby(BEFORE, None, False, True), False),
        (Standby(None, None, False, False), False),
        # everything received is replayed, and the primary was heard from after the end
        (Standby(BEFORE, AFTER, True, True), True),
        (Standby(None, END, True, True), True),
        (Standby(BEFORE, BEFORE, True, True), False),
        (Standby(BEFORE, AFTER, True, False), False),
        (Standby(BEFORE, AFTER, False, True), False),
        # a user who may not see when the primary was heard from relies on everything being replayed
        (Standby(BEFORE, None, True, True), True),
        (Standby(BEFORE, None, True, False), False),
    ],
)
def test_a_replica_has_a_window_once_it_has_replayed_its_end(standby: Standby, is_there: bool):
    why = behind(standby, END, AT)
    assert (why == "") is is_there
    if why:
        assert "the window ends 2026-11-02 00:00:00Z" in why and "has replayed until" in why


def test_a_window_that_is_still_open_asks_for_a_minute_ago():
    at = END - timedelta(hours=3)
    assert behind(Standby(None, at - timedelta(seconds=50), True, True), END, at) == ""
    assert behind(Standby(None, at - timedelta(seconds=70), True, True), END, at)


def test_a_real_replica_is_waited_for(shop: Shop, replica: str):
    def lines(end: datetime) -> int:
        with snapshot(replica, end, datetime.now(UTC)) as connection:
            return connection.execute("select count(*) from shop.order_items").fetchone()[0]  # type: ignore[index]

    def until(end: datetime, is_there: bool) -> int:
        for _ in range(300):
            try:
                found = lines(end)
            except Transient as error:
                assert "has replayed until" in str(error) and "primary" in str(error)
                found = -1
            if (found >= 0) is is_there:
                return found
            time.sleep(0.1)
        raise AssertionError(f"after half a minute the replica is {'not ' if is_there else ''}there")

    begun = datetime.now(UTC)
    shop.execute("insert into shop.order_items (order_id, line_number) values ('a', 1)")
    assert until(begun, True) == 1
    with psycopg.connect(replica, autocommit=True) as connection:
        connection.execute("select pg_wal_replay_pause()")
        written = datetime.now(UTC)
        shop.execute("insert into shop.order_items (order_id, line_number) values ('a', 2)")
        until(written, False)
        assert lines(begun) == 1, "a window that is already replayed can be read"
        connection.execute("select pg_wal_replay_resume()")
    assert until(written, True) == 2
