"""Open the shop's Postgres in one consistent view, with errors that say what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ingestion.addresses import Database, split_database
from ingestion.errors import ClearwellError, Permanent, Transient
from ingestion.sources.deadlines import Connection, Limits, variable
from ingestion.sources.giving_way import giving_way

# The database's text must not depend on who asks: one time zone, one date style, floats that read back as they were.
_SETTINGS = {
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "3",
    "work_mem": "64MB",
    # An error where a policy would hide rows: else fewer rows would come, and be counted, without a word.
    "row_security": "off",
}
_GIVEN_AS = "SHOP_DATABASE_URL"
_ADDRESS = "write postgresql://user:password@host:port/database, with %40 for an @ and %2F for a / in the password"
# SQLSTATEs, by prefix, that a later try may not meet: lost connections, overload, deadlocks, time-outs, restarts.
_PASSING = {
    "08": "",
    "25P03": f"{variable('idle')} says how long Clearwell may be busy with its own state meanwhile",
    "25P04": "the server's transaction_timeout is shorter than a landing takes: let it be longer for this user",
    "40": "",
    "53": "",
    "55P03": "wait until the shop's ALTER TABLE, or whatever locks the table, is done; "
    f"{variable('lock')} says how long a landing waits for it",
    "57014": f"{variable('statement')} says how long a query may take; a shorter window takes less",
    "57": "",
    "58": "",
}
_ADVICE = {
    "address": _ADDRESS,
    "ssl": "compare sslmode and the certificates in SHOP_DATABASE_URL with what the server offers",
    "encoding": "give a database whose encoding Postgres converts to UTF-8",
    "28": "check user and password in SHOP_DATABASE_URL",
    "3D000": "check the database's name in SHOP_DATABASE_URL",
    "3F000": "check that SHOP_DATABASE_URL is the shop's database: it has a schema `shop`",
    "42P01": "check that SHOP_DATABASE_URL is the shop's database: it has the tables of schema `shop`",
    "42703": "compare the table with its contract in dbt_project/models/staging",
    "42501": "grant the user `select` on the tables of schema `shop`, and BYPASSRLS (or read as their owner) where a policy hides rows",
}
# libpq says why a connection failed in words only. What it does not understand in an address, it calls invalid.
_REFUSED_FOR_GOOD = {
    r"\binvalid\b.*\b(value|option|port|number)\b|could not match \d+ |definition of service": "address",
    r"does not support SSL|certificate|private key|weak sslmode|channel binding is required|pg_hba.conf rejects": "ssl",
    r"conversion between .* is not supported": "encoding",
    r"authentication failed|no password supplied|no pg_hba.conf entry|not permitted to log in": "28",
    r'role ".*" does not exist': "28",
    r'database ".*" does not exist': "3D000",
}


# What is left of a template that nobody filled in.
_PLACEHOLDER = re.compile(r"\$\{\w+\}|\$\(\w+\)|^\$\w+$|\{\{.*\}\}|\{\w+\}|<[^<>]+>|%\w+%|\[\w+\]")
_PASSWORD_PLACEHOLDER = re.compile(r"\$\{\w+\}|\$\(\w+\)|\{\{.*\}\}|<[a-z_ -]+>")
# How long a standby that is up to date may not have heard of its primary: by default that speaks every 30 seconds.
_SILENCE = timedelta(minutes=1)


@dataclass(frozen=True)
class Standby:
    """How far a server in recovery is, in its primary's time.

    `replayed_until` is when the last transaction that it replayed was committed; `heard_at` is when the primary last said
    anything, missing where nobody says it to us; `is_level` says that nothing is known that is not replayed.
    """

    replayed_until: datetime | None
    heard_at: datetime | None
    is_receiving: bool
    is_level: bool


def behind(standby: Standby, end: datetime, at: datetime) -> str:
    """Return why a standby does not yet have the whole window as the primary had it at a time; empty if it has.

    Without writes at the primary nothing is replayed, and the last commit says little: then a standby has arrived that
    is level and has heard of its primary since. Of a window still open, that is asked of a minute ago.
    """
    if standby.replayed_until and standby.replayed_until >= end:
        return ""
    until = min(end, at - _SILENCE)
    if standby.is_receiving and standby.is_level and (standby.heard_at is None or standby.heard_at >= until):
        return ""
    replayed = f"{standby.replayed_until:%Y-%m-%d %H:%M:%SZ}" if standby.replayed_until else "nothing yet"
    receiving = "" if standby.is_receiving else " and receives nothing from its primary"
    return f"the replica has replayed until {replayed}{receiving}; the window ends {end:%Y-%m-%d %H:%M:%SZ}"


# Who may not see pg_stat_wal_receiver sees that there is one, and nothing else of it.
_STANDBY = """
    select
        pg_last_xact_replay_timestamp() at time zone 'UTC',
        receiver.last_msg_send_time at time zone 'UTC',
        receiver.pid is not null,
        coalesce(pg_last_wal_replay_lsn() >= coalesce(receiver.latest_end_lsn, pg_last_wal_receive_lsn()), false)
    from (select) as one left join pg_stat_wal_receiver as receiver on true
    where pg_is_in_recovery()
"""


@contextmanager
def snapshot(
    url: str,
    end: datetime | None = None,
    at: datetime | None = None,
    limits: Limits | None = None,
    given_as: str = _GIVEN_AS,
) -> Iterator[Connection]:
    """Open one read-only REPEATABLE READ transaction. Its errors are Transient or Permanent and contain no password.

    With the `end` of a window, and the time `at` which it is read, a replica that has not replayed so far is Transient.
    Nothing is waited for longer than the limits say, those of the environment if none are given. `given_as` is the variable
    that holds the address.
    """
    database = _read(url, given_as)
    where = str(database)
    limits = limits or Limits.from_environment()
    try:
        with Connection.to(url, limits, where) as connection:
            try:
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                connection.read_only = True
                if end and at:
                    _await_replay(connection, end, at, where)
                connection.ask_for(_SETTINGS)
                with giving_way(url, connection):
                    yield connection
            except BaseException:
                connection.close()  # a rollback would be waited for, perhaps of a server that hangs
                raise
    except psycopg.Error as error:
        raise _translate(error, database, given_as) from None


@contextmanager
def opened(url: str) -> Iterator[Connection]:
    """Open a connection, and commit when it closes. Its errors are Transient or Permanent and contain no password."""
    database = _read(url, _GIVEN_AS)
    try:
        with Connection.to(url, Limits.from_environment(), str(database)) as connection:
            yield connection
    except psycopg.Error as error:
        raise _translate(error, database, _GIVEN_AS) from None


def _await_replay(connection: psycopg.Connection[Any], end: datetime, at: datetime, where: str) -> None:
    """Refuse a standby that is behind. Call it before the snapshot: what is replayed later would not be in it."""
    row = connection.execute(_STANDBY).fetchone()
    connection.rollback()
    if not row:
        return
    replayed, heard, is_receiving, is_level = row
    standby = Standby(_utc(replayed), _utc(heard), is_receiving, is_level)
    if why := behind(standby, end, at):
        raise Transient(why, where=where, todo="wait for the replica and try again, or read from the primary")


def _utc(at: datetime | None) -> datetime | None:
    return at.replace(tzinfo=UTC) if at else None


def _read(url: str, given_as: str) -> Database:
    """Parse an address. A wrong one, or a template that was not filled in, is Permanent."""
    try:
        parts = conninfo_to_dict(url)
    except (psycopg.Error, UnicodeError, ValueError):
        parts = {}
    unfilled = [part for part in ("host", "port", "dbname", "user") if _PLACEHOLDER.search(str(parts.get(part) or ""))]
    if _PASSWORD_PLACEHOLDER.fullmatch(str(parts.get("password") or "")):
        unfilled.append("password")
    if unfilled:
        raise Permanent(
            f"the shop database's address has a placeholder for its {unfilled[0]} that nothing was put into",
            where=given_as,
            todo="write the value itself: " + _ADDRESS.removeprefix("write "),
        )
    database = split_database(url)
    if not database:
        # No detail: what stands in the wrong place may be the password.
        raise Permanent("the shop database's address cannot be read", where=given_as, todo=_ADDRESS)
    return database


def _translate(error: psycopg.Error, database: Database, given_as: str) -> ClearwellError:
    text = str(error.diag.message_primary or error).strip() or type(error).__name__
    state = error.sqlstate or _state_in_words(text)
    if any(form in text for secret in database.secrets for form in (secret, quote(secret), quote(secret, safe=""))):
        # A mark in its place would still tell it, where it is a word that one would expect there.
        text = "its words hold the password, and are left out"
    where = str(database)
    passing = next((advice for prefix, advice in _PASSING.items() if state.startswith(prefix)), None)
    if passing is not None:
        advice = passing or "see that it runs"
        return Transient(f"the shop database did not answer: {text}", where=where, todo=f"try again; {advice}")
    advice = next((advice for prefix, advice in _ADVICE.items() if state.startswith(prefix)), "")
    return Permanent(
        f"the shop database refused: {text}",
        where=where,
        todo=advice.replace(_GIVEN_AS, given_as) or "fix what it names",
    )


def _state_in_words(text: str) -> str:
    """Return a SQLSTATE for a failure without one: unless it is known to be permanent, it counts as a lost connection."""
    return next((state for words, state in _REFUSED_FOR_GOOD.items() if re.search(words, text)), "08000")
