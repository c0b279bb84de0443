"""A hanging shop is given up in time, and we do not keep it waiting. Limits are short here; each wait is bounded."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ingestion import bronze
from ingestion.errors import Permanent, Transient
from ingestion.home import Home
from ingestion.land import Landing
from ingestion.sources import database_rows, deadlines
from ingestion.sources.deadlines import Limits, Rows
from ingestion.sources.postgres import snapshot

Shop = psycopg.Connection[Any]
Land = Callable[..., Landing]
SHORT = Limits(connect=1, first_row=1, progress=1)
# Far above any limit used here, and far below the server's own timeouts.
BOUND_SECONDS = 20
ALTER = f"set lock_timeout = '{BOUND_SECONDS}s'; alter table shop.orders add column if not exists more text"
MANY_ROWS = "copy (select repeat('x', 1000) || generate_series(1, 10000000)) to stdout"


@contextmanager
def within_bound() -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < BOUND_SECONDS


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


class Proxy:
    """Forward to a server; go silent, without closing the connection, after `allowed` bytes of its answers."""

    def __init__(self, url: str, allowed: int) -> None:
        there = conninfo_to_dict(url)
        self._server = (str(there["host"]), int(str(there["port"])))
        self._allowed = allowed
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._listener]
        self.url = make_conninfo(url, host="127.0.0.1", port=self._listener.getsockname()[1])
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(self._server)
                self._open += [client, server]
                Thread(target=self._questions, args=(client, server), daemon=True).start()
                Thread(target=self._answers, args=(server, client), daemon=True).start()

    def _questions(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                server.sendall(data)

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while self._allowed and (data := server.recv(min(self._allowed, 1 << 16))):
                self._allowed -= len(data)
                client.sendall(data)

    def close(self) -> None:
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


# What becomes of a server's message, given its type and body: the bodies that are sent in its place.
Change = Callable[[bytes, bytes], list[bytes]]


class Meddler(Proxy):
    """Forward to a server, and change its messages."""

    def __init__(self, url: str, change: Change) -> None:
        self._change = change
        super().__init__(make_conninfo(url, sslmode="disable", gssencmode="disable"), 0)

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError), server.makefile("rb") as answers:
            while kind := answers.read(1):
                body = answers.read(int.from_bytes(answers.read(4), "big") - 4)
                for one in self._change(kind, body):
                    client.sendall(kind + (len(one) + 4).to_bytes(4, "big") + one)


@pytest.fixture
def proxied(postgres: str) -> Iterator[Callable[[int], Proxy]]:
    proxies: list[Proxy] = []

    def stand(allowed: int) -> Proxy:
        proxies.append(Proxy(postgres, allowed))
        return proxies[-1]

    yield stand
    for proxy in proxies:
        proxy.close()


def test_a_server_that_takes_the_call_and_says_nothing_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent, within_bound():
        url = f"postgresql://u:s3cret@127.0.0.1:{silent.getsockname()[1]}/shop"
        with pytest.raises(Transient, match="did not answer") as caught, snapshot(url, limits=SHORT):
            pass
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("allowed", [0, 1, 200, 1_000, 4_000, 100_000])
def test_wherever_a_server_falls_silent_the_landing_ends_and_leaves_nothing(
    shop: Shop,
    home: Home,
    land: Land,
    proxied: Callable[[int], Proxy],
    monkeypatch: pytest.MonkeyPatch,
    allowed: int,
):
    shop.execute(
        "insert into shop.orders (order_id, status, ordered_at) select n, repeat('x', 200), '2026-11-01' from generate_series(1, 1000) as n"
    )
    for name in ("CONNECT", "FIRST_ROW", "PROGRESS"):
        monkeypatch.setenv(f"SHOP_{name}_SECONDS", "1")
    there = Home(home.root, home.landing, proxied(allowed).url)
    with within_bound(), pytest.raises(Transient):
        land("orders", "2026-11-01", "2026-11-02", home=there)
    assert bronze.list_batches(home) == []
    assert not [*home.staging.rglob("*")]


@pytest.mark.parametrize("read", [iter, Rows])
def test_a_backend_that_hangs_in_the_midst_of_its_rows_is_given_up(
    postgres: str, read: Callable[[psycopg.Copy], Iterable[object]]
):
    with within_bound(), snapshot(postgres, limits=SHORT) as connection:
        hangs = pytest.raises(Transient, match=r"hangs.*SHOP_PROGRESS_SECONDS")
        with hangs, connection.cursor().copy(MANY_ROWS) as rows:
            assert rows.read()
            with stopped(connection.info.backend_pid):
                assert not [*read(rows)]
        assert connection.closed


@pytest.mark.parametrize("number", [0, 1, 20_000])
def test_the_rows_of_a_copy_are_those_that_psycopg_reads(postgres: str, number: int):
    query = f"copy (select n, repeat('x', n % 100) from generate_series(1, {number}) as n) to stdout"
    with snapshot(postgres) as connection:
        with connection.cursor().copy(query) as copied:
            theirs = [bytes(row) for row in copied]
        with connection.cursor().copy(query) as copied:
            rows = Rows(copied)
            assert rows.sent is None
            assert [bytes(row) for row in rows] == theirs
        assert len(theirs) == rows.sent == number
        assert connection.execute("select 1").fetchone() == (1,)


@pytest.fixture
def land_changed(shop: Shop, postgres: str, home: Home, land: Land) -> Iterator[Callable[[Change], Landing]]:
    """Land three orders of a server whose messages are changed on the way."""
    shop.execute(
        "insert into shop.orders (order_id, ordered_at) select 'o' || n, '2026-11-01' from generate_series(1, 3) as n"
    )
    proxies: list[Proxy] = []

    def run(change: Change) -> Landing:
        proxies.append(Meddler(postgres, change))
        return land("orders", "2026-11-01", "2026-11-02", home=Home(home.root, home.landing, proxies[-1].url))

    yield run
    for proxy in proxies:
        proxy.close()


def is_row(kind: bytes, body: bytes) -> bool:
    return kind == b"d" and body.startswith(b"o2,")


def lost(kind: bytes, body: bytes) -> list[bytes]:
    return [] if is_row(kind, body) else [body]


def repeated(kind: bytes, body: bytes) -> list[bytes]:
    return [body, body] if is_row(kind, body) else [body]


def said(number: bytes) -> Change:
    return lambda kind, body: [body.replace(b"COPY 3\0", b"COPY" + number + b"\0") if kind == b"C" else body]


@pytest.mark.parametrize(("change", "told"), [(lost, (3, 2)), (repeated, (3, 4)), (said(b" 4"), (4, 3))])
def test_other_rows_than_the_server_says_that_it_sent_are_refused(
    land_changed: Callable[[Change], Landing], home: Home, change: Change, told: tuple[int, int]
):
    with pytest.raises(Permanent, match="the source counted {} records, but {} were written".format(*told)):
        land_changed(change)
    assert bronze.list_batches(home) == []


def test_a_server_that_does_not_say_how_many_rows_it_sent_is_asked(
    land_changed: Callable[[Change], Landing], monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []
    count = database_rows.count

    def counting(connection: psycopg.Connection[Any], selection: str, values: Mapping[str, Any]) -> int:
        asked.append(selection)
        return count(connection, selection, values)

    monkeypatch.setattr(database_rows, "count", counting)
    assert land_changed(lambda _, body: [body]).records == 3
    assert asked == []
    assert land_changed(said(b"")).new == frozenset()
    assert len(asked) == 1
    with pytest.raises(Permanent, match="counted 3 records, but 2 were written"):
        land_changed(lambda kind, body: [one for part in lost(kind, body) for one in said(b"")(kind, part)])


def test_a_copy_that_fails_among_its_rows_fails_as_with_psycopg(postgres: str):
    query = "copy (select 1 / (20000 - n) from generate_series(1, 30000) as n) to stdout"
    for read in (iter, Rows):
        with snapshot(postgres) as connection:
            found: list[object] = []
            fails = pytest.raises(psycopg.errors.DivisionByZero, match="division by zero")
            with fails, connection.transaction(), connection.cursor().copy(query) as copied:
                found.extend(read(copied))
            assert len(found) == 19999
            assert connection.execute("select 1").fetchone() == (1,)


def test_a_backend_that_hangs_before_its_first_row_is_given_up(postgres: str):
    with within_bound(), snapshot(postgres, limits=SHORT) as connection:
        with pytest.raises(Transient, match=r"hangs.*SHOP_FIRST_ROW_SECONDS"), stopped(connection.info.backend_pid):
            connection.execute("select 1")
        assert connection.closed


def test_a_query_that_nobody_waits_for_any_more_ends(shop: Shop, postgres: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(deadlines._WHERE_THE_SERVER_CAN, "client_connection_check_interval", "100ms")
    with pytest.raises(Transient, match="hangs"), snapshot(postgres, limits=SHORT) as connection:
        connection.execute(
            "select pg_sleep(600) from (select from shop.orders limit 1) as o right join (select) as l on true"
        )
    with within_bound():
        shop.execute(ALTER)


def test_a_server_that_works_slowly_is_not_taken_for_one_that_hangs(postgres: str):
    rows = "select n, pg_sleep(0.3) from generate_series(1, 5) as n"
    with snapshot(postgres, limits=Limits(progress=1, first_row=10)) as connection:
        assert len(connection.execute(rows).fetchall()) == 5, "it takes over a second to answer"
        large = f"copy (select repeat('x', 10000), pg_sleep(0.3) from ({rows}) as s) to stdout"
        with connection.cursor().copy(large) as copied:
            assert sum(1 for _ in copied) == 5


CLIENT = """
import sys
from ingestion.sources.deadlines import Limits
from ingestion.sources.postgres import snapshot
with snapshot(sys.argv[1], limits=Limits(idle=float(sys.argv[2]))) as connection:
    connection.execute("select from shop.orders")
    print("reading", flush=True)
    sys.stdin.read()
"""


@contextmanager
def client(url: str, idle: float) -> Iterator[subprocess.Popen[str]]:
    """Run another process that has read the orders and stays in its transaction."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT, url, str(idle)],
        cwd=Path(__file__).parents[4],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout and process.stdout.readline() == "reading\n"
        yield process
    finally:
        process.kill()
        process.communicate(timeout=BOUND_SECONDS)


def test_a_client_that_is_killed_leaves_no_lock(shop: Shop, postgres: str):
    with client(postgres, idle=600) as process:
        process.kill()
        with within_bound():
            shop.execute(ALTER)


def test_a_client_that_stands_still_leaves_no_lock_for_long(shop: Shop, postgres: str):
    with client(postgres, idle=1) as process, stopped(process.pid), within_bound():
        shop.execute(ALTER)


def test_a_transaction_that_the_server_ended_for_asking_nothing_says_why(shop: Shop, postgres: str):
    with pytest.raises(Transient, match="SHOP_IDLE_SECONDS"), snapshot(postgres, limits=Limits(idle=0.2)) as connection:
        connection.execute("select from shop.orders")
        shop.execute(ALTER)  # waits until our lock is released
        connection.execute("select from shop.orders")


def test_our_own_wait_for_a_lock_is_bounded_and_says_what_to_do(shop: Shop, postgres: str):
    with psycopg.connect(postgres) as other, within_bound():
        other.execute("lock table shop.orders")
        bounded = pytest.raises(Transient, match=r"lock timeout.*ALTER TABLE.*SHOP_LOCK_SECONDS")
        with bounded, snapshot(postgres, limits=Limits(lock=0.2)) as connection:
            connection.execute("select from shop.orders")


def test_a_query_that_takes_too_long_names_the_limit(postgres: str):
    too_long = pytest.raises(Transient, match="SHOP_STATEMENT_SECONDS")
    with too_long, snapshot(postgres, limits=Limits(statement=0.1)) as connection:
        connection.execute("select pg_sleep(60)")


def test_the_server_is_asked_to_notice_when_we_are_gone(postgres: str):
    with snapshot(postgres, limits=Limits(lock=15, idle=600, statement=900)) as connection:
        asked = dict(connection.execute("select name, setting from pg_settings").fetchall())
    assert {
        "statement_timeout": "900000",
        "lock_timeout": "15000",
        "idle_in_transaction_session_timeout": "600000",
        "tcp_keepalives_idle": "30",
        "tcp_keepalives_interval": "10",
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": "60000",
        "client_connection_check_interval": "10000",
    }.items() <= asked.items()


def test_a_server_that_cannot_notice_is_read_all_the_same(postgres: str, monkeypatch: pytest.MonkeyPatch):
    wanted = {"of_a_later_version": "1", "client_connection_check_interval": "-5", "tcp_keepalives_idle": "31"}
    monkeypatch.setattr(deadlines, "_WHERE_THE_SERVER_CAN", wanted)
    with snapshot(postgres) as connection:
        asked = dict(connection.execute("select name, setting from pg_settings").fetchall())
    assert (asked["tcp_keepalives_idle"], asked["client_connection_check_interval"]) == ("31", "0")
    assert (asked["row_security"], asked["TimeZone"], asked["transaction_read_only"]) == ("off", "UTC", "on")


def test_nothing_is_asked_of_a_server_for_longer_than_a_transaction(postgres: str):
    with snapshot(postgres) as connection:
        connection.rollback()
        assert connection.execute("show client_connection_check_interval").fetchone() == ("0",)


INTERRUPTED = """
import os, signal, sys
from ingestion.sources.postgres import snapshot
with snapshot(sys.argv[1]) as connection:
    os.kill(connection.info.backend_pid, signal.SIGSTOP)
    print(connection.info.backend_pid, flush=True)
    connection.execute("select 1")
"""


def test_whoever_loses_patience_with_a_server_that_hangs_need_not_wait(postgres: str):
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, postgres],
        cwd=Path(__file__).parents[4],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    backend = int(process.stdout.readline())
    try:
        process.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in process.communicate(timeout=BOUND_SECONDS)[1]
    finally:
        os.kill(backend, signal.SIGCONT)
        process.kill()


def test_an_idle_connection_is_kept_alive_unless_the_address_says_otherwise(postgres: str):
    def option(url: str, name: int) -> int:
        with snapshot(url) as connection, socket.socket(fileno=os.dup(connection.fileno())) as ours:
            return ours.getsockopt(socket.IPPROTO_TCP, name)

    assert option(postgres, socket.TCP_KEEPIDLE) == 30
    assert option(postgres, socket.TCP_USER_TIMEOUT) == 60_000
    assert option(make_conninfo(postgres, keepalives_idle=77), socket.TCP_KEEPIDLE) == 77


def test_nothing_is_left_prepared_for_the_next_session_of_a_pool(postgres: str):
    with snapshot(postgres) as connection:
        for _ in range(20):
            connection.execute("select %(n)s::int", {"n": 1})
        assert connection.execute("select count(*) from pg_prepared_statements").fetchone() == (0,)


def test_limits_come_from_the_environment():
    assert Limits.from_environment({"SHOP_LOCK_SECONDS": ""}) == Limits()
    assert Limits.from_environment({"SHOP_FIRST_ROW_SECONDS": "5", "SHOP_LOCK_SECONDS": "0.5"}) == Limits(
        first_row=5, lock=0.5
    )


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf", "1min"])
def test_a_limit_that_is_none_is_named(text: str):
    with pytest.raises(Permanent, match="SHOP_LOCK_SECONDS"):
        Limits.from_environment({"SHOP_LOCK_SECONDS": text})
