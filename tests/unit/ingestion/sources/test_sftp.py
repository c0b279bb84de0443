"""Files of an SFTP server: what a pattern lists, what is read, and how each failure is told. The server runs on this machine."""

import gzip
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncssh
import pytest

from ingestion import bronze, sources
from ingestion.contract import Contract, read_contracts
from ingestion.errors import ClearwellError, Permanent, Transient
from ingestion.file_settings import Files
from ingestion.home import Home
from ingestion.land import Landing
from ingestion.sources import locations, places, sftp
from ingestion.sources.places import Limits
from ingestion.window import Window
from operations.samples import read_sample
from tests.unit.ingestion.sources.sftp_server import PASSWORD, USER, Server, serving

NOW = datetime(2100, 1, 1, tzinfo=UTC)
DAY = Window.parse("2026-11-10", "2026-11-11")
PUBLISHED = datetime(2026, 11, 3, 15, tzinfo=UTC)


def connection(server: Server, **extra: Any) -> dict[str, Any]:
    return {
        "conn_type": "sftp", "host": "127.0.0.1", "port": server.port, "login": USER, "password": PASSWORD,
        "extra": {"host_key": server.host_key, **extra},
    }  # fmt: skip


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Yield a server that the connection `partner` names. Nobody's own keys, known hosts or agent count."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    root = tmp_path / "exports"
    root.mkdir()
    with serving(root) as served:
        monkeypatch.setenv("AIRFLOW_CONN_PARTNER", json.dumps(connection(served)))
        yield served
        sftp.close()


def put(server: Server, path: str, body: bytes = b"abc", at: datetime = PUBLISHED) -> Path:
    file = server.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(body)
    os.utime(file, (at.timestamp(), at.timestamp()))
    return file


def paths(location: str) -> list[str]:
    return [one.place.removeprefix("sftp://partner/") for one in locations.find(location).files]


def test_a_pattern_lists_its_folders_alone(server: Server) -> None:
    for day in range(1, 29):
        for part in range(3):
            put(server, f"in/dt=2026-11-{day:02d}/part-{part}.csv", b"x" * part)
    put(server, "in/dt=2026-11-10/_SUCCESS")
    put(server, "in/dt=2026-11-10/deep/part-9.csv")
    put(server, "in/dt=2026-11-10/orders.csv.part")
    parts = [f"in/dt=2026-11-10/part-{part}.csv" for part in range(3)]
    assert paths("sftp://partner/in/dt=2026-11-10/*.csv") == parts
    assert server.asked == ["list /in/dt=2026-11-10"] and server.logins == 1
    assert paths("sftp://partner/in/dt=2026-11-1*/part-2.csv") == [
        f"in/dt=2026-11-{day}/part-2.csv" for day in range(10, 20)
    ]
    assert paths("sftp://partner/none/*.csv") == []
    skipped = locations.find("sftp://partner/in/dt=2026-11-10/*").skipped
    assert ["is not read: it is a folder" in one for one in skipped] == [True, False] and ".part is not" in skipped[1]
    (found,) = locations.find("sftp://partner/in/dt=2026-11-10/part-2.csv").files
    assert (found.size, found.mtime_ns) == (2, int(PUBLISHED.timestamp()) * 10**9)
    assert paths("sftp://partner/in/none.csv") == []
    assert server.logins == 1


def test_a_path_below_the_logins_folder_and_names_with_signs(server: Server, tmp_path: Path) -> None:
    for name in ("a b+ü.csv", "a%20b.csv", "a?b#c.csv", "a@b.csv"):
        put(server, f"in/{name}", name.encode())
        assert places.fetch(f"sftp://partner/in/{name}")[0] == name.encode()
        assert places.fetch(f"sftp://partner/~/in/{name}")[0] == name.encode()
        places.copy(f"sftp://partner/in/{name}", tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == name.encode()


def test_a_name_that_is_not_utf8_is_listed_and_read(server: Server, home: Home) -> None:
    put(server, "in/2026-11-10/" + os.fsdecode(b"\xff.jsonl"), b"{}\n")
    landing = land(home, "sftp://partner/in/{date}/*")
    assert [one.path for one in landing.manifests[0].inputs] == ["2026-11-10/\\xff.jsonl"]


def test_a_link_is_the_file_that_it_leads_to(server: Server) -> None:
    put(server, "other/a.csv", b"12345")
    (server.root / "in").mkdir()
    (server.root / "in" / "a.csv").symlink_to("../other/a.csv")
    (server.root / "in" / "folder.csv").symlink_to("../other")
    (server.root / "in" / "nowhere.csv").symlink_to("../gone")
    listing = locations.find("sftp://partner/in/*.csv")
    assert listing.files[0].place.endswith("/in/a.csv") and listing.files[0].size == 5
    assert "folder.csv is not read: it is a folder" in listing.skipped[0]
    with pytest.raises(Transient, match=r"gone since it was listed.*nowhere\.csv"):
        places.fetch("sftp://partner/in/nowhere.csv", is_listed=True)


def test_a_file_is_inflated_dated_and_bounded(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(server, "a", gzip.compress(b"abc"))
    assert places.fetch("sftp://partner/a") == (b"abc", PUBLISHED)
    monkeypatch.setattr(sftp, "_PIECE_BYTES", 64)
    put(server, "a", bytes(range(250)) * 4)
    assert places.fetch("sftp://partner/a")[0] == bytes(range(250)) * 4
    with pytest.raises(Permanent, match="the most that is read at once"):
        places.fetch("sftp://partner/a", Limits(bytes=999))
    places.copy("sftp://partner/a", tmp_path / "a", Limits(bytes=999))
    assert (tmp_path / "a").read_bytes() == bytes(range(250)) * 4
    assert (tmp_path / "a").stat().st_mtime == PUBLISHED.timestamp()


@pytest.mark.parametrize("change", ["longer", "same size", "shorter", "gone"])
def test_a_file_that_changes_while_it_is_read_is_transient(server: Server, change: str) -> None:
    file = put(server, "a", b"1234")

    def overwrite(operation: str, _path: str) -> None:
        if operation == "read" and change == "gone":
            file.unlink(missing_ok=True)
        elif operation == "read":
            put(
                server,
                "a",
                {"longer": b"12345", "same size": b"5678", "shorter": b"1"}[change],
                PUBLISHED + timedelta(1),
            )

    server.fail = overwrite
    with pytest.raises(Transient, match=r"(changed|deleted) while it was read"):
        places.fetch("sftp://partner/a")


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (asyncssh.SFTPPermissionDenied("secret words"), Permanent, "does not let this login read it"),
        (asyncssh.SFTPFailure("secret words"), Permanent, "SFTPFailure"),
        (asyncssh.SFTPConnectionLost("secret words"), Transient, "cannot be reached"),
        (asyncssh.SFTPNoConnection("secret words"), Transient, "cannot be reached"),
        (OSError("secret words"), Permanent, "SFTPFailure"),
    ],
)
def test_each_failure_of_the_server_has_its_kind_and_no_secret(
    server: Server, error: Exception, kind: type[Exception], said: str
) -> None:
    put(server, "in/a.csv")

    def fail(_operation: str, _path: str) -> None:
        raise error

    server.fail = fail
    for do in (
        lambda: locations.find("sftp://partner/in/*.csv"),
        lambda: locations.find("sftp://partner/in/a.csv"),
        lambda: places.fetch("sftp://partner/in/a.csv", is_listed=True),
    ):
        with pytest.raises(ClearwellError, match=said) as raised:
            do()
        assert type(raised.value) is kind and raised.value.todo
        told = f"{raised.value!r} {raised.value} {raised.value.__cause__}"
        assert "sftp://partner/in" in told and "secret" not in told and PASSWORD not in told and "\n" not in told


def test_what_does_not_exist(server: Server) -> None:
    with pytest.raises(Permanent, match="the file does not exist"):
        places.fetch("sftp://partner/a")
    with pytest.raises(Transient, match="gone since it was listed"):
        places.fetch("sftp://partner/a", is_listed=True)


def test_a_silent_server_is_transient_and_bounded(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    put(server, "a")
    monkeypatch.setattr(sftp, "_SILENT_SECONDS", 0.3)
    server.fail = lambda _operation, _path: server.stopped.wait(10) and None
    start = time.monotonic()
    with pytest.raises(Transient, match="timed out"):
        places.fetch("sftp://partner/a")
    assert time.monotonic() - start < 5


def test_a_connection_that_is_cut_is_transient_and_made_again(server: Server) -> None:
    put(server, "a")

    def cut(operation: str, _path: str) -> None:
        if operation == "read":
            server.cut()

    server.fail = cut
    with pytest.raises(Transient, match="cannot be reached"):
        places.fetch("sftp://partner/a")
    server.fail = lambda _operation, _path: None
    assert places.fetch("sftp://partner/a")[0] == b"abc" and server.logins == 2


def test_nobody_there_is_transient(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening
        other = {**connection(server), "port": taken.getsockname()[1]}
        monkeypatch.setenv("AIRFLOW_CONN_PARTNER", json.dumps(other))
        with pytest.raises(Transient, match="the server cannot be reached: ConnectionRefusedError"):
            places.fetch("sftp://partner/a")


# Who asks, and whom


def test_a_key_in_the_connection_or_a_file_logs_in(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(server, "a")
    key, locked = tmp_path / "key", tmp_path / "locked"
    key.write_text(server.user_key)
    locked.write_bytes(asyncssh.import_private_key(server.user_key).export_private_key(passphrase="open", rounds=50))
    for extra in (
        {"private_key": server.user_key},
        {"key_file": str(key)},
        {"key_file": str(locked), "private_key_passphrase": "open"},
    ):
        given = {**connection(server, **extra), "password": ""}
        monkeypatch.setenv("AIRFLOW_CONN_PARTNER", json.dumps(given))
        assert places.fetch("sftp://partner/a")[0] == b"abc"
    assert server.logins == 3
    for extra in ({"key_file": str(locked)}, {"key_file": str(tmp_path / "gone")}, {"private_key": "secret"}):
        monkeypatch.setenv("AIRFLOW_CONN_PARTNER", json.dumps(connection(server, **extra)))
        with pytest.raises(
            Permanent, match=r"private key of a connection cannot be read.*AIRFLOW_CONN_PARTNER"
        ) as raised:
            places.fetch("sftp://partner/a")
        assert "secret" not in str(raised.value)


def test_an_address_logs_in_and_is_shown_without_its_user(server: Server, tmp_path: Path) -> None:
    put(server, "in/a.csv")
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {server.host_key}\n")
    place = f"sftp://{quote(USER, safe='')}:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}/in/*.csv"
    (found,) = locations.find(place).files
    assert places.fetch(found.place)[0] == b"abc"
    with pytest.raises(Permanent) as raised:
        places.fetch(found.place.replace("a.csv", "b.csv"))
    assert f"(sftp://127.0.0.1:{server.port}/in/b.csv)" in str(raised.value)


def test_a_refused_login_says_where_it_is_given(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PARTNER", json.dumps({**connection(server), "password": "s3cret"}))
    with pytest.raises(Permanent, match=r"refuses the login.*password or key, in AIRFLOW_CONN_PARTNER") as raised:
        places.fetch("sftp://partner/a")
    assert "s3cret" not in f"{raised.value!r}" and server.logins == 0


def test_a_server_whose_key_is_not_known_gets_no_password(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither without any known host, nor with another key in its place; only the connection itself may leave the check out."""
    put(server, "a")
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    (tmp_path / ".ssh").mkdir()
    # What would switch the check off for other programs is no word of the connection.
    (tmp_path / ".ssh" / "config").write_text("Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile none\n")
    for host_key in ("", other):
        monkeypatch.setenv("AIRFLOW_CONN_PARTNER", json.dumps(connection(server, host_key=host_key)))
        with pytest.raises(
            Permanent, match=rf"key is not one that is trusted.*ssh-keyscan -p {server.port} 127\.0\.0\.1"
        ):
            places.fetch("sftp://partner/a")
    assert server.logins == 0
    (tmp_path / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {server.host_key}\n")
    monkeypatch.setenv("AIRFLOW_CONN_PARTNER", json.dumps(connection(server, host_key="")))
    assert places.fetch("sftp://partner/a")[0] == b"abc"
    monkeypatch.setenv("AIRFLOW_CONN_PARTNER", json.dumps(connection(server, host_key="", no_host_key_check=True)))
    assert places.fetch("sftp://partner/a")[0] == b"abc"


def test_a_host_key_or_a_file_of_them_that_cannot_be_read_is_permanent(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = server.host_key.split()[1][:40]
    monkeypatch.setenv("AIRFLOW_CONN_PARTNER", json.dumps(connection(server, host_key=half)))
    with pytest.raises(Permanent, match=r"what is known of the server cannot be read.*host_key"):
        places.fetch("sftp://partner/a")
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_bytes(b"\xff\n")
    monkeypatch.setenv("AIRFLOW_CONN_PARTNER", json.dumps(connection(server, host_key="")))
    with pytest.raises(Permanent, match="known_hosts"):
        places.fetch("sftp://partner/a")
    assert server.logins == 0


# Landing


def lines(location: str) -> dict[str, Contract]:
    clicks = read_contracts()["clickstream"]
    contract = replace(
        clicks, dataset="events", source="events", kind="file", settings=Files(location), expect_records_every=None,
        lateness=timedelta(0),
    )  # fmt: skip
    return {"events": contract}


def land(home: Home, location: str, at: datetime = NOW) -> Landing:
    return sources.ingest("events", DAY, home, at, contracts=lines(location))


def test_lines_land_once_with_path_size_and_checksum(server: Server, home: Home) -> None:
    put(server, "in/2026-11-10/a.jsonl", b"{}\n{}\n")
    packed = put(server, "in/2026-11-10/b.jsonl.gz", gzip.compress(b"{}\n")).read_bytes()
    first = land(home, "sftp://partner/in/{date}/*")
    assert [(one.path, one.records, one.bytes, one.sha256) for one in first.manifests[0].inputs] == [
        ("2026-11-10/a.jsonl", 2, 6, sha256(b"{}\n{}\n").hexdigest()),
        ("2026-11-10/b.jsonl.gz", 1, len(packed), sha256(packed).hexdigest()),
    ]
    server.asked.clear()
    assert not land(home, "sftp://partner/in/{date}/*").new
    assert server.asked == ["list /in/2026-11-10"]
    put(server, "in/2026-11-10/a.jsonl", b"{}\n{}\n{}\n")
    assert land(home, "sftp://partner/in/{date}/*").records == 3


def test_a_file_that_is_overwritten_within_a_second_of_its_landing_is_read_again(server: Server, home: Home) -> None:
    """The server says times in whole seconds: a file may have another content under the same size and time."""
    at = PUBLISHED + timedelta(seconds=1)
    put(server, "in/2026-11-10/a.jsonl", b"{1}\n")
    assert land(home, "sftp://partner/in/{date}/*", at).records == 1
    assert not land(home, "sftp://partner/in/{date}/*", at).new
    put(server, "in/2026-11-10/a.jsonl", b"{2}\n")
    assert land(home, "sftp://partner/in/{date}/*", NOW).records == 1


def test_a_file_that_is_still_being_written_waits(server: Server, home: Home) -> None:
    put(server, "in/2026-11-10/a.jsonl", b"{}\n{", PUBLISHED)
    landing = land(home, "sftp://partner/in/{date}/*", PUBLISHED + timedelta(seconds=1))
    assert landing.records == 0 and "still being written" in landing.waiting[0].reason
    assert land(home, "sftp://partner/in/{date}/*", PUBLISHED + timedelta(minutes=1)).records == 2


HEAD = b"rate_date,currency,rate,updated_at\n"
ROW = b"2026-11-10,USD,1.2,2026-11-10T15:00:00Z\n"


def rates(location: str) -> dict[str, Contract]:
    found = read_contracts()["exchange_rates"]
    return {"exchange_rates": replace(found, settings=replace(found.settings, location=location))}


def test_rows_land_from_a_server_all_or_none(server: Server, home: Home) -> None:
    contracts = rates("sftp://partner/{date}/*.csv")
    put(server, "2026-11-10/b.csv", HEAD + ROW)
    put(server, "2026-11-10/a.csv", HEAD + ROW.replace(b"USD", b"JPY")[:-3])
    with pytest.raises(Transient, match=r"still being written.*sftp://partner/2026-11-10/a\.csv"):
        sources.ingest("exchange_rates", DAY, home, PUBLISHED, contracts=contracts)
    assert bronze.list_batches(home) == []
    landing = sources.ingest("exchange_rates", DAY, home, NOW, contracts=contracts)
    reading = landing.manifests[0].reading
    assert reading and [(one.path, one.records, one.bytes, one.sha256) for one in reading.inputs] == [
        (f"2026-11-10/{name}.csv", 1, len(body), sha256(body).hexdigest())
        for name, body in (("a", HEAD + ROW.replace(b"USD", b"JPY")[:-3]), ("b", HEAD + ROW))
    ]


def test_what_would_keep_it_from_landing_is_found_before(
    server: Server, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(server, "in/a.csv")

    def problems(location: str) -> list[str]:
        return [one.what for one in sources.check("exchange_rates", home, rates(location))]

    assert problems("sftp://partner/in/{date}.csv") == problems("sftp://partner/in/a.csv") == []
    assert problems("sftp://partner/out/{date}.csv") == ["the folder does not exist"]
    assert problems("sftp://partner/in/b.csv") == ["the file does not exist"]
    assert problems("sftp://stranger/in/a.csv") == ["there is no connection 'stranger'"]
    assert problems(f"sftp://127.0.0.1:{server.port}/a.csv") == ["an address of SFTP does not say its user"]
    monkeypatch.setenv("AIRFLOW_CONN_PARTNER", json.dumps({**connection(server), "password": "wrong"}))
    assert problems("sftp://partner/in/{date}.csv") == ["the server refuses the login"]


def test_a_sample_is_of_the_first_and_the_last_files(server: Server) -> None:
    for day in ("2026-11-01", "2026-11-02", "2026-11-03"):
        (server.root / f"dt={day}").mkdir()
        (server.root / f"dt={day}" / "x.csv").write_text(f"id;at\n1;{day}\n")
    found = read_sample("sftp://partner/dt={date}/*.csv")
    assert found.rows == (("1", "2026-11-01"), ("1", "2026-11-02"), ("1", "2026-11-03"))
    assert found.days == ("2026-11-01", "2026-11-03") and found.is_whole and found.csv == {"delimiter": ";"}
