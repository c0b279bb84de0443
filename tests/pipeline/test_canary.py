"""A secret in every configured address appears in no output and in no file, whether commands fail or succeed."""

import http.server
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from click.testing import CliRunner

from cli.main import main
from ingestion.home import Home

CANARY = "c4n4ry"
RANGE = ["--from", "2026-11-01", "--to", "2026-11-02"]
COMMANDS = [
    ["ingest", "orders", *RANGE],
    ["--debug", "ingest", "orders", *RANGE],
    ["ingest", "exchange_rates", *RANGE],
    ["--debug", "ingest", "exchange_rates", *RANGE],
    ["shop", "simulate", *RANGE, "--orders-per-day", "5", "--events-per-day", "20"],
    ["sweep", *RANGE],
    ["run", *RANGE],
    ["heal", "--to", "2026-11-02"],
    ["status", "--json"],
    ["batches", "list", "--json"],
    ["ledger"],
]
DATABASES = [
    "postgresql://shop:{}@127.0.0.1:1/shop",
    "postgresql://shop:{}@127.0.0.1:1/shop?sslmode=sometimes",
    "postgresql://shop:a/{}@127.0.0.1:1/shop",
    "postgresql://shop:5432/{}@127.0.0.1:1/shop",
    "postgresql://shop:{}/5432@127.0.0.1:1/shop",
    "postgresql://shop:a@{}@127.0.0.1:1/shop",
    "postgresql://shop:a@%2F{}@127.0.0.1:1/shop",
    "postgresql://shop:5432?sslmode={}@127.0.0.1:1/shop",
    "postgresql://shop:5432?{}@127.0.0.1:1/shop",
    "postgresql://shop:#{}@127.0.0.1:1/shop",
    "postgresql://shop:%zz{}@127.0.0.1:1/shop",
    "postgresql://shop:a b'\"{}é@127.0.0.1:1/shop",
    "postgresql://shop:{}@${{DB_HOST}}/shop",
    "host=127.0.0.1 port=1 password={}",
    "host=127.0.0.1 port=1 password=a {}",
    "mysql://shop:{}@127.0.0.1:1/shop",
    "shop:{}@127.0.0.1:1/shop",
    "{postgres}/no_such_database",
    "{stranger}/postgres",
]
RATES = [
    "{http}/404?api_key={}",
    "{http}/500?api_key={}#{}",
    "{http}/nonsense?api_key={}",
    "{http}/garbage?api_key={}",
    "{http}/echo?api_key={}",
    "http://127.0.0.1:1/rates.csv?api_key={}",
    "http://bank:{}@127.0.0.1:1/rates.csv",
    "http://bank:1/{}@127.0.0.1:1/rates.csv",
    "http://bank:1?{}@127.0.0.1:1/rates.csv",
    "http://bank:a#{}@127.0.0.1:1/rates.csv",
    "http://bank:a@b/{}@127.0.0.1:1/rates.csv",
    "http:///bank:{}@127.0.0.1:1/rates.csv",
    "https:/bank:{}@127.0.0.1:1/rates.csv",
    "ftp://bank:{}@127.0.0.1:1/rates.csv",
    " 'http://bank:{}@127.0.0.1:1/rates.csv'",
    "bank:{}@127.0.0.1/rates.csv",
    "127.0.0.1/rates.csv?api_key={}",
]


class Bank(http.server.BaseHTTPRequestHandler):
    """Serve exchange rates, error codes, garbage and echoes."""

    def do_GET(self) -> None:
        name = self.path.split("?")[0].strip("/")
        if name.isdigit():
            self.send_error(int(name))
        elif name in ("nonsense", "echo"):
            self.wfile.write(f"what? {self.path}\r\n\r\n".encode())
        else:
            body = (
                b"\x00\xff"
                if name == "garbage"
                else b"rate_date,currency,rate,updated_at\n2026-11-01,USD,1.1,2026-11-01T15:00:00Z\n"
            )
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def _everything_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "false")
    monkeypatch.setenv("CLEARWELL_LOG", "json")


@pytest.fixture(scope="module")
def bank() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bank)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://bank:{CANARY}@127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def servers(shop: Home) -> dict[str, str]:
    """Return the shop's Postgres as two users: one who needs no password, and one who has a different password."""
    url = shop.database_url()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create role stranger login password 'another'")
        hba = Path(connection.execute("show hba_file").fetchone()[0])  # type: ignore[index]
        hba.write_text("host all stranger 127.0.0.1/32 scram-sha-256\n" + hba.read_text())
        connection.execute("select pg_reload_conf()")
    server = url.removesuffix("/postgres")
    return {
        "postgres": server.replace("//postgres@", f"//postgres:{CANARY}@"),
        "stranger": server.replace("//postgres@", f"//stranger:{CANARY}@"),
    }


def type_everything(home: Path) -> list[int]:
    """Run every command, and assert that the canary appears nowhere."""
    statuses = []
    for command in COMMANDS:
        shown = CliRunner().invoke(main, command)
        told = shown.stdout + shown.stderr
        if shown.exc_info and not isinstance(shown.exception, SystemExit | None):
            assert "--debug" in command, (command, shown.exc_info)
            told += "".join(traceback.format_exception(*shown.exc_info)) + repr(shown.exception)
        assert CANARY not in told, (command, told)
        statuses.append(shown.exit_code)
    for path in home.rglob("*"):
        assert CANARY not in path.name and not (path.is_file() and CANARY.encode() in path.read_bytes()), path
    return statuses


@pytest.mark.parametrize("number", range(max(len(DATABASES), len(RATES))))
def test_whatever_fails(
    bank: str, servers: dict[str, str], number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEARWELL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SHOP_DATABASE_URL", DATABASES[number % len(DATABASES)].format(CANARY, **servers))
    monkeypatch.setenv("EXCHANGE_RATES", RATES[number % len(RATES)].format(CANARY, CANARY, http=bank))
    statuses = type_everything(tmp_path / "home")
    assert statuses[0] == statuses[2] == statuses[4] == 1


@pytest.mark.parametrize("name", ["CLEARWELL_HOME", "CLICKSTREAM_LANDING"])
def test_a_folder_that_is_an_address(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLEARWELL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(name, f"s3://key:{CANARY}@bucket/clicks")
    assert set(type_everything(tmp_path)) == {1}


def test_where_nothing_fails(
    bank: str, servers: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEARWELL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SHOP_DATABASE_URL", f"{servers['postgres']}/postgres?application_name={quote('the shop')}")
    monkeypatch.setenv("EXCHANGE_RATES", f"{bank}/whole?api_key={CANARY}")
    statuses = type_everything(tmp_path / "home")
    assert statuses[2] == statuses[4] == statuses[6] == 0
