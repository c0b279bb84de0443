"""Find the address of a database by the name of its connection: Airflow's variable AIRFLOW_CONN_<NAME>, inside Airflow and outside.

Inside Airflow, a task first exports the Connections of its source, wherever Airflow keeps them (see dags/common.py).
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from ingestion.errors import Permanent

if TYPE_CHECKING:
    from ingestion.contract import Contract
    from ingestion.home import Home

# The name of the demo shop's connection: without a variable of its own it is SHOP_DATABASE_URL, or the demo's Postgres.
SHOP = "shop"
# The name of the connection of the database that the shop's is a copy of: SHOP_PRIMARY_URL, or none.
SHOP_PRIMARY = "shop_primary"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TYPES = ("postgres", "postgresql")
# What Airflow's own hook reads of `extra`, and libpq does not know.
_OF_AIRFLOW = (
    "aws_conn_id",
    "cluster-identifier",
    "cursor",
    "enable_log_db_messages",
    "iam",
    "redshift",
    "region_name",
)
_NESTED = "__extra__"
_FIELDS = {"host": "host", "port": "port", "login": "user", "password": "password", "schema": "dbname"}


@dataclass(frozen=True)
class Address:
    """An address as libpq reads it, which may hold a password, and the variable that it comes from."""

    url: str = field(repr=False)
    given_as: str


def variable(name: str) -> str:
    """Name the variable that holds a connection."""
    return f"AIRFLOW_CONN_{name.upper()}"


def find(name: str, home: "Home", env: Mapping[str, str] = os.environ) -> Address:
    """Return the address of a connection. One that is missing or cannot be read is Permanent, and shows no password."""
    given_as = variable(name)
    text = (env.get(given_as) or "").strip()
    if text:
        return Address(_of_json(text, given_as) if text.startswith("{") else _of_uri(text, given_as), given_as)
    if name == SHOP:
        return Address(home.database_url(), "SHOP_DATABASE_URL")
    raise Permanent(
        f"there is no connection {name!r}",
        where=given_as,
        todo=f"set {given_as} to {_way(name)}; or, if Airflow runs it, add the Connection {name} in Airflow",
    )


def secret(name: str, env: Mapping[str, str] = os.environ) -> str:
    """Return the password of a connection that is there for its password alone. One that is missing is Permanent."""
    given_as = variable(name)
    text = (env.get(given_as) or "").strip()
    try:
        found = _loaded(text, given_as).get("password") if text.startswith("{") else urlsplit(text).password
    except ValueError:
        found = None
    if not found:
        raise Permanent(
            f"there is no connection {name!r} with a password" if text else f"there is no connection {name!r}",
            where=given_as,
            todo=f'set {given_as} to {{"conn_type": "generic", "password": "…"}}; or, if Airflow runs it, add the Connection {name} '
            "in Airflow",
        )
    return unquote(found) if not text.startswith("{") else str(found)


def find_primary(name: str | None, home: "Home", env: Mapping[str, str] = os.environ) -> Address | None:
    """Return the address of a copy's primary; None without one. The shop's contracts always name theirs, which may be unset."""
    if name == SHOP_PRIMARY and not (env.get(variable(name)) or "").strip():
        return Address(home.primary_url, "SHOP_PRIMARY_URL") if home.primary_url else None
    return find(name, home, env) if name else None


def needed(contracts: Iterable["Contract"]) -> tuple[str, ...]:
    """Name the connections that these contracts read, or compare with."""
    found = (getattr(one.settings, field, None) for one in contracts for field in ("connection", "primary"))
    return tuple(sorted({name for name in found if name}))


def needed_to_publish(contracts: Iterable["Contract"]) -> tuple[str, ...]:
    """Name the connections that have keys of hashed columns."""
    return tuple(sorted({name for one in contracts for column in one.columns if (name := column.hashed_with)}))


def _way(name: str) -> str:
    return (
        "postgresql://user:password@host:port/database, with %40 for an @ and %2F for a / in the password, or to Airflow's"
        f' JSON, such as {{"conn_type": "postgres", "host": "…", "login": "…", "password": "…", "schema": "{name}"}}'
    )


def _of_uri(text: str, given_as: str) -> str:
    """Read an address, without what Airflow alone reads of its options."""
    scheme, found, _ = text.partition("://")
    if found and scheme.lower().replace("-", "_") not in _TYPES:
        raise _not_postgres(scheme, given_as)
    try:
        parts = urlsplit(text)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
    except ValueError:
        return text  # opening it says what is wrong
    if not {_NESTED, *_OF_AIRFLOW} & set(options):
        return text
    nested = _loaded(options.pop(_NESTED, "{}"), given_as)
    return parts._replace(query=urlencode(_options({**options, **nested}, given_as))).geturl()


def _of_json(text: str, given_as: str) -> str:
    from psycopg.conninfo import make_conninfo  # 0.1 s that every command would pay for reading contracts

    given = _loaded(text, given_as)
    kind = str(given.get("conn_type") or "")
    if kind.lower() not in _TYPES:
        raise _not_postgres(kind, given_as)
    extra = given.get("extra") or {}
    extra = _loaded(extra, given_as) if isinstance(extra, str) else extra
    if not isinstance(extra, dict):
        raise _unreadable(given_as)
    parts = {ours: str(given[name]) for name, ours in _FIELDS.items() if given.get(name) not in (None, "")}
    return make_conninfo("", **{**_options(extra, given_as), **parts})


def _options(extra: Mapping[str, Any], given_as: str) -> dict[str, str]:
    """Return the options of libpq among the extras of a connection. An unknown one is Permanent: it may be `sslmode`, mistyped."""
    from psycopg import pq

    known = {one.keyword.decode() for one in pq.Conninfo.get_defaults()}
    if extra.get("iam") in (True, "true", "True"):
        raise Permanent(
            "a connection asks for an IAM token as its password, which Clearwell does not fetch",
            where=given_as,
            todo="give it a user with a password or a certificate",
        )
    if unknown := sorted(set(extra) - known - set(_OF_AIRFLOW)):
        raise Permanent(
            f"a connection has an extra that Postgres does not know: {unknown[0]}",
            where=given_as,
            todo="remove it, or correct its name; it may be any option of a Postgres address, such as sslmode",
        )
    return {name: str(value) for name, value in extra.items() if name in known}


def loaded(text: str) -> dict[str, Any] | None:
    """Read an object of JSON; None if it is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _loaded(text: str, given_as: str) -> dict[str, Any]:
    found = loaded(text)
    if found is None:
        raise _unreadable(given_as)
    return found


def _unreadable(given_as: str) -> Permanent:
    # No detail: the part in the wrong place may be the password.
    name = given_as.removeprefix("AIRFLOW_CONN_").lower()
    return Permanent("a connection cannot be read", where=given_as, todo=f"set {given_as} to {_way(name)}")


def _not_postgres(kind: str, given_as: str) -> Permanent:
    shown = kind if re.fullmatch(r"[A-Za-z][\w+.-]{0,30}", kind) else "not named"
    return Permanent(
        f"a connection is of a kind that Clearwell does not read tables from: {shown}",
        where=given_as,
        todo="name a Postgres database: postgresql://…, or conn_type postgres; have another one export files, as docs/tables.md says",
    )
