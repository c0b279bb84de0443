"""Open a Postgres in one consistent view, with errors that say what to do."""

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

# The database's texts must not depend on the session or the role: one time zone, one date style, floats that read back unchanged,
# names in quotation marks only where they need them, and backslashes in literals that mean themselves.
_SETTINGS = {
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "3",
    "work_mem": "64MB",
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
    # Raise an error where a policy would hide rows: else fewer rows would silently be sent and counted.
    "row_security": "off",
}
_ADDRESS = "write postgresql://user:password@host:port/database, with %40 for an @ and %2F for a / in the password"
# SQLSTATEs, by prefix, that a retry may solve: lost connections, overload, deadlocks, time-outs, restarts.
_PASSING = {
    "08": "",
    "25P03": f"{variable('idle')} sets how long the transaction may be idle while Clearwell reads its own state",
    "25P04": "the server's transaction_timeout is shorter than a landing takes: raise it for this user",
    "40": "",
    "53": "",
    "55P03": "wait until the ALTER TABLE, or other statement that locks the table, is done; "
    f"{variable('lock')} sets how long a landing waits for it",
    "57014": f"{variable('statement')} sets how long a query may take; a shorter window takes less time",
    "57": "",
    "58": "",
}
_ADVICE = {
    "address": _ADDRESS,
    "ssl": "compare sslmode and the certificates in {given_as} with what the server offers",
    "encoding": "use a database whose encoding Postgres can convert to UTF-8",
    "28": "check user and password in {given_as}",
    "3D000": "check the database's name in {given_as}",
    "3F000": "{missing}",
    "42P01": "{missing}",
    "42703": "compare the table with its contract in dbt_project/models/staging",
    "42883": "compare the types: columns that are matched (`lands_with`) must have the same one, and a `query` may convert them",
    "42501": "{rights}, and BYPASSRLS (or read as their owner) where a policy hides rows",
    "42601": "correct the SQL in the contract in dbt_project/models/staging",
}
# libpq gives the reason for a failed connection as text only. A part of an address that it cannot read, it calls invalid.
_REFUSED_FOR_GOOD = {
    r"\binvalid\b.*\b(value|option|port|number)\b|could not match \d+ |definition of service": "address",
    r"does not support SSL|certificate|private key|weak sslmode|channel binding is required|pg_hba.conf rejects": "ssl",
    r"conversion between .* is not supported": "encoding",
    r"authentication failed|no password supplied|no pg_hba.conf entry|not permitted to log in": "28",
    r'role ".*" does not exist': "28",
    r'database ".*" does not exist': "3D000",
}


@dataclass(frozen=True)
class About:
    """How messages speak of a database: its name, the variable with its address, what it should hold, and rights on it."""

    name: str = "the shop database"
    given_as: str = "SHOP_DATABASE_URL"
    missing: str = "check that {given_as} is the shop's database: it has the tables of schema `shop`"
    rights: str = "grant the user `select` on the tables of schema `shop`"

    def advice(self, text: str) -> str:
        """Fill in an advice about it."""
        found = text.format(given_as="{given_as}", missing=self.missing, rights=self.rights)
        return found.format(given_as=self.given_as)


SHOP = About()
# A placeholder of a template that was not filled in.
_PLACEHOLDER = re.compile(r"\$\{\w+\}|\$\(\w+\)|^\$\w+$|\{\{.*\}\}|\{\w+\}|<[^<>]+>|%\w+%|\[\w+\]")
_PASSWORD_PLACEHOLDER = re.compile(r"\$\{\w+\}|\$\(\w+\)|\{\{.*\}\}|<[a-z_ -]+>")
# How old the last message of the primary may be for an up-to-date standby: by default it sends one every 30 seconds.
_SILENCE = timedelta(minutes=1)


@dataclass(frozen=True)
class Standby:
    """How far a server in recovery is, in its primary's time.

    `replayed_until` is the commit time of the last replayed transaction; `heard_at` is the time of the primary's last
    message, missing if we may not see it; `is_level` says that everything received has been replayed.
    """

    replayed_until: datetime | None
    heard_at: datetime | None
    is_receiving: bool
    is_level: bool


def behind(standby: Standby, end: datetime, at: datetime) -> str:
    """Return why a standby does not yet have the whole window as the primary had it at a time; empty if it has.

    Without writes at the primary nothing is replayed, and the last commit says little: then a standby counts as up to date
    if it is level and has heard from its primary since. For a window still open, the time a minute ago is compared.
    """
    if standby.replayed_until and standby.replayed_until >= end:
        return ""
    until = min(end, at - _SILENCE)
    if standby.is_receiving and standby.is_level and (standby.heard_at is None or standby.heard_at >= until):
        return ""
    replayed = f"{standby.replayed_until:%Y-%m-%d %H:%M:%SZ}" if standby.replayed_until else "nothing yet"
    receiving = "" if standby.is_receiving else " and receives nothing from its primary"
    return f"the replica has replayed until {replayed}{receiving}; the window ends {end:%Y-%m-%d %H:%M:%SZ}"


# A user without rights on pg_stat_wal_receiver sees that a receiver exists, and nothing else.
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
    about: About = SHOP,
) -> Iterator[Connection]:
    """Open one read-only REPEATABLE READ transaction. Its errors are Transient or Permanent and contain no password.

    With the `end` of a window, and the time `at` which it is read, a replica that has not replayed up to it is Transient.
    Waiting is bounded by the limits, those of the environment by default. Messages call the database what `about` says.
    """
    database = _read(url, about)
    where = str(database)
    limits = limits or Limits.from_environment()
    try:
        with Connection.to(url, limits, where, name=about.name) as connection:
            try:
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                connection.read_only = True
                if end and at:
                    _await_replay(connection, end, at, where, about)
                connection.ask_for(_SETTINGS)
                with giving_way(url, connection):
                    yield connection
            except BaseException:
                connection.close()  # a rollback would wait for the server, which may hang
                raise
    except psycopg.Error as error:
        raise _translate(error, database, about) from None


@contextmanager
def opened(url: str) -> Iterator[Connection]:
    """Open a connection, and commit when it closes. Its errors are Transient or Permanent and contain no password."""
    database = _read(url, SHOP)
    try:
        with Connection.to(url, Limits.from_environment(), str(database)) as connection:
            yield connection
    except psycopg.Error as error:
        raise _translate(error, database, SHOP) from None


def _await_replay(connection: psycopg.Connection[Any], end: datetime, at: datetime, where: str, about: About) -> None:
    """Refuse a standby that is behind. Call it before the snapshot: later replayed rows would not be in it."""
    row = connection.execute(_STANDBY).fetchone()
    connection.rollback()
    if not row:
        return
    replayed, heard, is_receiving, is_level = row
    standby = Standby(_utc(replayed), _utc(heard), is_receiving, is_level)
    if why := behind(standby, end, at):
        raise Transient(
            why, where=where, todo=f"try again when the replica has caught up, or set {about.given_as} to the primary"
        )


def is_cut_off(connection: psycopg.Connection[Any]) -> bool:
    """Say whether the server is a replica that receives nothing from its primary."""
    row = connection.execute(_STANDBY).fetchone()
    return row is not None and not row[2]


def _utc(at: datetime | None) -> datetime | None:
    return at.replace(tzinfo=UTC) if at else None


def _read(url: str, about: About) -> Database:
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
            f"{about.name}'s address still has a placeholder for its {unfilled[0]}",
            where=about.given_as,
            todo="write the value itself: " + _ADDRESS.removeprefix("write "),
        )
    database = split_database(url)
    if not database:
        # No detail: the part in the wrong place may be the password.
        raise Permanent(f"{about.name}'s address cannot be read", where=about.given_as, todo=_ADDRESS)
    return database


def _translate(error: psycopg.Error, database: Database, about: About) -> ClearwellError:
    text = str(error.diag.message_primary or error).strip() or type(error).__name__
    state = error.sqlstate or _state_in_words(text)
    if any(form in text for secret in database.secrets for form in (secret, quote(secret), quote(secret, safe=""))):
        # Masking it would still reveal a password that is a common word of such messages.
        text = "its message contains the password, and is left out"
    where = str(database)
    passing = next((advice for prefix, advice in _PASSING.items() if state.startswith(prefix)), None)
    if passing is not None:
        advice = passing or "check that it runs"
        return Transient(f"{about.name} did not answer: {text}", where=where, todo=f"try again; {advice}")
    advice = next((advice for prefix, advice in _ADVICE.items() if state.startswith(prefix)), "")
    return Permanent(
        f"{about.name} refused: {text}",
        where=where,
        todo=about.advice(advice) or "fix what the message names, then run the same command again",
    )


def _state_in_words(text: str) -> str:
    """Return a SQLSTATE for a failure without one: a lost connection, unless the failure is known to be permanent."""
    return next((state for words, state in _REFUSED_FOR_GOOD.items() if re.search(words, text)), "08000")
