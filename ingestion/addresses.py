"""Show addresses without secrets: the host and name of a database, the host and path of a file, and nothing else.

A mistyped address may have its password anywhere. So no part of the raw text is ever shown: the address is parsed, and
if a part could be the rest of a password, none of it is shown.
"""

import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

UNREADABLE = "an address that cannot be read"
_HTTP = ("http://", "https://")
SFTP = "sftp://"
_SFTP_HOST = re.compile(r"(?:([^:]*)(?::(.*))?@)?([\w.-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?", re.DOTALL)
# A scheme, also a mistyped one: with quotes before it, a missing slash after it, or a colon with an @ after it.
_LIKE_ADDRESS = re.compile(r"://|^\W*[a-z][a-z0-9+.-]+:/|:.*@", re.IGNORECASE | re.DOTALL)
_DATABASE = re.compile(
    r"\W*postgres(ql)?:|\s*(host|hostaddr|port|dbname|user|password|service|sslmode)\s*=", re.IGNORECASE
)
# An object of S3, if nothing before its key could be a password.
_OBJECT = re.compile(r"s3://[a-z0-9][a-z0-9.-]+(/|$)")
_HOST = re.compile(r"/[^@]*|[\w.:%/,-]*")
_DEFAULTS = {"host": "localhost", "port": "5432", "dbname": "postgres"}
_SECRETS = ("password", "sslpassword", "oauth_client_secret")


@dataclass(frozen=True)
class Database:
    """The parts of a database's address that may be shown, and its passwords (`secrets`), which may not."""

    host: str
    port: str
    name: str
    user: str
    secrets: tuple[str, ...]

    def __str__(self) -> str:
        return f"database {self.name} on {self.host}:{self.port}"


@dataclass(frozen=True)
class SftpAddress:
    """The parts of an SFTP address. Its text has no user and no password."""

    host: str
    port: int | None
    path: str
    user: str
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{SFTP}{host}{f':{self.port}' if self.port else ''}{self.path}"


def shown(address: str) -> str:
    """Return an address or a path without secrets."""
    if is_sftp(address):
        return str(split_sftp(address) or UNREADABLE)
    if is_http(address):
        parts = split_http(address)
        return f"{parts.scheme}://{host_of(parts)}{parts.path}" if parts else UNREADABLE
    if _OBJECT.match(address):
        return re.split(r"[?#]", address, maxsplit=1)[0]
    if _DATABASE.match(address):
        return str(split_database(address) or UNREADABLE)
    if is_address(address):
        return UNREADABLE
    # A path, or an address without its scheme: the text after these characters may be a query.
    return re.split(r"[?#]", address, maxsplit=1)[0] or UNREADABLE


def is_address(text: str) -> bool:
    """Say whether a text is an address, or was meant to be one, and not a path."""
    return is_http(text) or bool(_DATABASE.match(text) or _LIKE_ADDRESS.search(text))


def is_http(address: str) -> bool:
    """Say whether a text is an http or https address."""
    return address.lower().startswith(_HTTP)


def is_sftp(address: str) -> bool:
    """Say whether a text is an SFTP address."""
    return address.lower().startswith(SFTP)


def split_sftp(address: str) -> SftpAddress | None:
    """Parse an SFTP address; None if it names no host, or if an @ in its path makes the host doubtful.

    Its path is taken as it is written: `?`, `#` and `%` are characters of names.
    """
    host, slash, path = address[len(SFTP) :].partition("/")
    found = _SFTP_HOST.fullmatch(host)
    # A password with a / in it ends the host too early: its rest, and the @ after it, are then in the path.
    if not found or ("@" in path and ":" in host):
        return None
    port = int(found[4]) if found[4] else None
    if port == 0 or (port or 0) > 65535:
        return None
    password = unquote(found[2]) if found[2] is not None else None
    return SftpAddress(found[3].strip("[]"), port, slash + path, unquote(found[1] or ""), password)


def split_http(address: str) -> SplitResult | None:
    """Parse an http address; None if it names no host, or if an @ or a backslash makes the host doubtful."""
    try:
        parts = urlsplit(address)
        behind = parts.path + parts.query + parts.fragment
        # A password with a / ? or # in it ends the host too early: the password's rest, and the @, then follow the host.
        is_doubtful = "\\" in address or ("@" in behind and re.search("[:@]", parts.netloc))
        return None if is_doubtful or not parts.hostname or not host_of(parts) else parts
    except ValueError:
        return None


def host_of(parts: SplitResult) -> str:
    """Return the host and port of an address."""
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{parts.port}" if parts.port else host


def split_database(address: str) -> Database | None:
    """Parse a Postgres address as libpq does; None if it is wrong, or if an @ makes it doubtful."""
    # they take a tenth of a second to import, and most commands meet no address
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = {name: str(value) for name, value in conninfo_to_dict(address).items() if value}
    except (psycopg.Error, UnicodeError, ValueError):
        return None
    host, port, name = (parts.get(part) or other for part, other in _DEFAULTS.items())
    # A password with a / ? or @ in it ends too early: its rest, and the @ after it, are then in another part.
    is_doubtful = any("@" in value for part, value in parts.items() if part not in ("user", *_SECRETS))
    if is_doubtful or not _HOST.fullmatch(host) or not all(map(_is_port, port.split(","))):
        return None
    secrets = tuple(parts[part] for part in _SECRETS if part in parts)
    return Database(host, port, name, parts.get("user", ""), secrets)


def _is_port(text: str) -> bool:
    return text == "" or (text.isdecimal() and 0 < int(text) < 65536)
