"""Read which SFTP server a place names, and who asks: `sftp://NAME/path` for a connection by name, or `sftp://user@host:port/path`.

A connection is Airflow's, from AIRFLOW_CONN_<NAME>: an address, or JSON with the extras of Airflow's SSH and SFTP connections. A
server's key is checked, unless the connection says `no_host_key_check`.
"""

import base64
import binascii
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ingestion.addresses import SFTP, split_sftp
from ingestion.connections import NAME, loaded, variable
from ingestion.errors import Permanent
from ingestion.fields import guess

_TYPES = ("sftp", "ssh")
_NESTED = "__extra__"
_KEYS = ("private_key", "key_file", "private_key_passphrase", "host_key", "no_host_key_check")
# What Airflow's own hooks read as well, and what is decided here.
_OF_AIRFLOW = (
    *("timeout", "conn_timeout", "cmd_timeout", "auth_timeout", "banner_timeout", "keepalive_interval", "compress"),
    *("look_for_keys", "allow_host_key_change", "disabled_algorithms", "ciphers", "host_key_algorithm", "known_hosts"),
)
_PORT = 22
_WAY = (
    "sftp://user:password@host:port, with %40 for an @ and %2F for a / in the password, or to Airflow's JSON, such as"
    ' {"conn_type": "sftp", "host": "…", "login": "…", "extra": {"key_file": "…", "host_key": "…"}}'
)


@dataclass(frozen=True)
class Server:
    """A server and who asks; `given_as` is the variable that says so, empty if it is the place itself.

    Without a password or a key, the keys of the user that runs Clearwell are offered. Without a `host_key`, those in this user's
    `~/.ssh/known_hosts` are trusted.
    """

    host: str
    port: int
    user: str
    given_as: str = ""
    password: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)
    key_file: str | None = None
    passphrase: str | None = field(default=None, repr=False)
    host_key: str | None = None
    checks_host_key: bool = True


def connection_in(place: str) -> str | None:
    """Return the name of the connection that a place names; None if it is no place of SFTP, or one with an address."""
    host = place[len(SFTP) :].partition("/")[0] if place.lower().startswith(SFTP) else ""
    return host if NAME.fullmatch(host) else None


def server_of(place: str, env: Mapping[str, str] = os.environ) -> Server:
    """Return the server of a place. One that is missing or cannot be read is Permanent, and shows no password."""
    name = connection_in(place)
    if name:
        return _connected(name, env)
    parts = split_sftp(place)
    if not parts or not parts.user:
        what = "does not say its user" if parts else "cannot be read"
        raise Permanent(
            f"an address of SFTP {what}",
            where=str(parts or ""),
            todo="write sftp://user@host/path, or sftp://NAME/path with the connection in AIRFLOW_CONN_NAME",
        )
    return Server(parts.host, parts.port or _PORT, parts.user, password=parts.password)


def _connected(name: str, env: Mapping[str, str]) -> Server:
    given_as = variable(name)
    text = (env.get(given_as) or "").strip()
    if not text:
        raise Permanent(
            f"there is no connection {name!r}",
            where=given_as,
            todo=f"set {given_as} to {_WAY}; or, if Airflow runs it, add the Connection {name} in Airflow; of a host"
            " without a dot in its name, say the user too: sftp://user@host/path",
        )
    given = _of_json(text, given_as) if text.startswith("{") else _of_uri(text, given_as)
    if str(given.get("conn_type") or "").lower() not in _TYPES:
        raise Permanent("a connection is not of type sftp or ssh", where=given_as, todo=f"set {given_as} to {_WAY}")
    extra = given["extra"]
    if unknown := sorted(set(extra) - {*_KEYS, *_OF_AIRFLOW}):
        what = f"a connection has an extra that is not known: {unknown[0]}{guess(unknown[0], _KEYS)}"
        raise Permanent(what, where=given_as, todo=f"remove it, or correct its name: known are {', '.join(_KEYS)}")
    if not given.get("host") or not given.get("login"):
        raise _unreadable(given_as)
    try:
        port = int(given.get("port") or _PORT)
    except ValueError:
        raise _unreadable(given_as) from None
    host_key = _text(extra.get("host_key"))
    return Server(
        str(given["host"]),
        port,
        str(given["login"]),
        given_as,
        password=_text(given.get("password")),
        private_key=_text(extra.get("private_key")),
        key_file=_text(extra.get("key_file")),
        passphrase=_text(extra.get("private_key_passphrase")),
        host_key=_host_key(host_key, given_as) if host_key else None,
        checks_host_key=str(extra.get("no_host_key_check", False)).lower() != "true",
    )


def _of_uri(text: str, given_as: str) -> dict[str, Any]:
    try:
        parts = urlsplit(text)
        options: dict[str, Any] = dict(parse_qsl(parts.query, keep_blank_values=True))
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _unreadable(given_as) from None
    nested = loaded(options.pop(_NESTED)) if _NESTED in options else {}
    if nested is None:
        raise _unreadable(given_as)
    return {
        "conn_type": parts.scheme,
        "host": host and unquote(host),
        "port": port,
        "login": parts.username and unquote(parts.username),
        "password": parts.password and unquote(parts.password),
        "extra": {**options, **nested},
    }


def _of_json(text: str, given_as: str) -> dict[str, Any]:
    given = loaded(text)
    extra = (given or {}).get("extra") or {}
    extra = loaded(extra) if isinstance(extra, str) else extra
    if given is None or not isinstance(extra, dict):
        raise _unreadable(given_as)
    return {**given, "extra": extra}


def _text(value: object) -> str | None:
    return None if value in (None, "") else str(value)


def _host_key(text: str, given_as: str) -> str:
    """Return a host's key as a line of OpenSSH. Airflow takes it without its type too, which it then has within."""
    words = text.split()
    data = words[0] if len(words) == 1 else words[1]
    try:
        raw = base64.b64decode(data, validate=True)
        kind = raw[4 : 4 + int.from_bytes(raw[:4], "big")].decode("ascii")
    except (binascii.Error, ValueError, IndexError):
        kind = ""
    if not re.fullmatch(r"[\w@.-]+", kind):
        raise Permanent(
            "the host_key of a connection cannot be read",
            where=given_as,
            todo="write the key as `ssh-keyscan` prints it, such as ssh-ed25519 AAAA…",
        )
    return f"{kind} {data}"


def _unreadable(given_as: str) -> Permanent:
    # No detail: the part in the wrong place may be the password.
    return Permanent("a connection cannot be read", where=given_as, todo=f"set {given_as} to {_WAY}")
