"""The shop's Postgres: one consistent view, and errors that say what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ingestion.errors import ClearwellError, Permanent, Transient

CONNECT_SECONDS = 10
# The database's text must not depend on who asks: one time zone, one date style, floats that read back as they were.
_SETTINGS = {
    "statement_timeout": "15min",
    "lock_timeout": "1min",
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "3",
    "work_mem": "64MB",
}
# SQLSTATEs, by prefix, that a later try may not meet: lost connections, overload, deadlocks, time-outs, restarts.
_PASSING = ("08", "40", "53", "55P03", "57", "58")
_ADVICE = {
    "28": "check user and password in SHOP_DATABASE_URL",
    "3D000": "check the database's name in SHOP_DATABASE_URL",
    "3F000": "check that SHOP_DATABASE_URL is the shop's database: it has a schema `shop`",
    "42P01": "check that SHOP_DATABASE_URL is the shop's database: it has the tables of schema `shop`",
    "42703": "compare the table with its contract in dbt_project/models/staging",
    "42501": "grant the user `select` on the tables of schema `shop`",
}
# libpq says why a connection failed in words only.
_REFUSED_FOR_GOOD = {
    r"authentication failed|no password supplied|no pg_hba.conf entry|not permitted to log in": "28",
    r'role ".*" does not exist': "28",
    r'database ".*" does not exist': "3D000",
}


@contextmanager
def snapshot(url: str) -> Iterator[psycopg.Connection[Any]]:
    """Open one read-only REPEATABLE READ transaction; its errors are Transient or Permanent and tell no password."""
    where = _describe(url)
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_SECONDS, client_encoding="utf8") as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            for name, value in _SETTINGS.items():
                connection.execute("select set_config(%s, %s, true)", (name, value))
            yield connection
    except psycopg.Error as error:
        raise _translate(error, url, where) from None


def _describe(url: str) -> str:
    """Say which database an address means, without user or password."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error:
        parts = {}
    host = str(parts.get("host") or "localhost")
    if not parts or "@" in host:
        # No detail: libpq's words about an address it cannot read may hold the password.
        raise Permanent(
            "the shop database's address cannot be read",
            where="SHOP_DATABASE_URL",
            todo="write postgresql://user:password@host:port/database, with %40 for an @ in the password",
        )
    return f"database {parts.get('dbname') or 'postgres'} on {host}:{parts.get('port') or 5432}"


def _translate(error: psycopg.Error, url: str, where: str) -> ClearwellError:
    text = str(error.diag.message_primary or error).strip() or type(error).__name__
    password = conninfo_to_dict(url).get("password")
    if password:
        text = text.replace(str(password), "***")
    state = error.sqlstate or _state_in_words(text)
    if state.startswith(_PASSING):
        return Transient(f"the shop database did not answer: {text}", where=where, todo="try again; see that it runs")
    advice = next((advice for prefix, advice in _ADVICE.items() if state.startswith(prefix)), "")
    return Permanent(f"the shop database refused: {text}", where=where, todo=advice or "mend what it names")


def _state_in_words(text: str) -> str:
    """Give a failure without a SQLSTATE one: what is not known to be for good is taken for a lost connection."""
    return next((state for words, state in _REFUSED_FOR_GOOD.items() if re.search(words, text)), "08000")
