"""Datasets that come as CSV: from a file, an address or a package, as their contract says."""

import http.server
import os
import threading
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ingestion import bronze, sources
from ingestion.errors import Permanent, Transient
from ingestion.home import Home
from ingestion.landing import Landing
from ingestion.window import Window

NOW = datetime(2026, 11, 20, tzinfo=UTC)
PUBLISHED = datetime(2026, 11, 3, 15, tzinfo=UTC)
WIDE = "Date,USD,JPY,XYZ,\n2026-11-03,1.1,175.60,N/A,\n2026-11-02,1.2,,3,\n2026-10-20,1.3,170,,\n"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home", tmp_path / "landing")


def land(home: Home, start: str = "2026-11-02", end: str = "2026-11-03") -> Landing:
    return sources.ingest("exchange_rates", Window.parse(start, end), home, NOW)


def rows(home: Home, landing: Landing) -> list[tuple[str | None, ...]]:
    found = [pq.read_table(path).to_pylist() for path in bronze.parquet_files(home, landing.manifests[0])]
    return [tuple(row.values())[1:] for part in found for row in part]


def give(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | bytes, name: str = "rates.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    os.utime(path, (PUBLISHED.timestamp(), PUBLISHED.timestamp()))
    monkeypatch.setenv("EXCHANGE_RATES", str(path))
    return path


def test_without_a_file_the_rates_of_the_package_land(home: Home) -> None:
    found = rows(home, land(home, "2020-07-06", "2020-07-07"))
    dollars = {row[0]: row[2] for row in found if row[1] == "USD"}
    # as the bank quoted them; the 4th and 5th were a weekend
    assert dollars == {
        "2020-06-29": "1.1284", "2020-06-30": "1.1198", "2020-07-01": "1.12", "2020-07-02": "1.1286",
        "2020-07-03": "1.1224", "2020-07-06": "1.1325",
    }  # fmt: skip


def test_a_column_a_currency_becomes_a_row_a_currency_of_the_window_and_the_week_before(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    give(monkeypatch, tmp_path, WIDE)
    at = "2026-11-03T15:00:00Z"
    assert rows(home, land(home)) == [("2026-11-02", "USD", "1.2", at), ("2026-11-02", "XYZ", "3", at)]
    assert len(rows(home, land(home, "2026-10-20", "2026-11-04"))) == 6


def test_the_same_rows_in_another_order_are_the_same_batch(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = ["2026-11-02,USD,1.2,2026-11-02T15:00:00Z", "2026-11-02,JPY,175,2026-11-02T15:00:00Z"]
    give(monkeypatch, tmp_path, "\n".join(["rate_date,currency,rate,updated_at", *lines]))
    first = land(home)
    give(monkeypatch, tmp_path, "\ufeff" + "\r\n".join(["rate_date,currency,rate,updated_at", *reversed(lines)]))
    second = land(home)
    assert first.new and not second.new
    assert first.manifests[0].batch_id == second.manifests[0].batch_id


def test_a_zip_is_opened(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = give(monkeypatch, tmp_path, b"", "rates.zip")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("rates.csv", WIDE)
    assert [row[:3] for row in rows(home, land(home))] == [("2026-11-02", "USD", "1.2"), ("2026-11-02", "XYZ", "3")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "header is empty"),
        ("a,a\n1,2\n", "twice"),
        ("rate_date,currency,rate\n2026-11-02,USD\n", "row 2 has 2 fields"),
        (b"rate_date,currency,rate\n2026-11-02,\xff,1\n", "not CSV in UTF-8"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_table_is_refused_and_named(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | bytes | None, said: str
) -> None:
    if text is None:
        monkeypatch.setenv("EXCHANGE_RATES", str(tmp_path / "nothing.csv"))
    else:
        give(monkeypatch, tmp_path, text)
    with pytest.raises(Permanent, match=said):
        land(home)
    assert bronze.list_batches(home) == []


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path != "/rates.csv":
            self.send_error(int(self.path.strip("/")))
            return
        self.send_response(200)
        self.send_header("Last-Modified", "Tue, 03 Nov 2026 15:00:00 GMT")
        self.end_headers()
        self.wfile.write(WIDE.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_address_is_asked(home: Home, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("EXCHANGE_RATES", f"{address}/rates.csv")
    assert rows(home, land(home))[0] == ("2026-11-02", "USD", "1.2", "2026-11-03T15:00:00Z")


@pytest.mark.parametrize(("code", "kind"), [("404", Permanent), ("503", Transient)])
def test_an_address_that_does_not_give_it_says_so(
    home: Home, monkeypatch: pytest.MonkeyPatch, address: str, code: str, kind: type[Exception]
) -> None:
    monkeypatch.setenv("EXCHANGE_RATES", f"{address}/{code}")
    with pytest.raises(kind, match=code):
        land(home)
