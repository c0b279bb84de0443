"""Run the demo shop's Postgres, with its tables. Its address is in `shop/database_url`."""

from pathlib import Path

import psycopg

from demo.server import Server
from ingestion.home import Home


def start(home: Home) -> str:
    """Start the server unless it runs, with the shop's tables; return its address."""

    def prepare(url: str) -> None:
        with psycopg.connect(url) as connection:
            make_tables(connection)
        (home.shop / "database_url").write_text(url + "\n")

    return _server(home).start(prepare)


def make_tables(connection: psycopg.Connection) -> None:
    """Create the shop's tables that do not exist yet."""
    connection.execute((Path(__file__).parent / "schema.sql").read_text())


def stop(home: Home) -> None:
    """Stop the server if it runs. Its data stays."""
    _server(home).stop()
    (home.shop / "database_url").unlink(missing_ok=True)


def is_running(home: Home) -> bool:
    """Say whether the server runs and answers."""
    return _server(home).is_running()


def is_asleep(home: Home) -> bool:
    """Say whether there is a stopped server."""
    return (_server(home).data / "PG_VERSION").exists() and not is_running(home)


def _server(home: Home) -> Server:
    return Server(home.shop, "the shop's Postgres", "clearwell shop start", is_disposable=True)
