"""Open a DuckLake: tables in Parquet files, listed by a catalog in Postgres, which several machines change and read at once.

A home whose state is in a lake has a small file in the place of the state, which names the lake. The catalog's address is that
of a connection, and never written to a file.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from ingestion import atomic, connections
from ingestion.errors import Broken, Permanent, Transient
from ingestion.home import LAKE, Home
from ingestion.s3_store import Store, from_environment, is_s3
from ingestion.sql import literal

if TYPE_CHECKING:
    import psycopg

# Types that Parquet does not have, and the ones that they are kept as. No model declares one of the latter.
KEPT_AS = {"HUGEINT": "DECIMAL(38,0)"}
# Where DuckDB looks for keys of S3 that no variable has: profiles, also of a role, and the roles of a pod and of a machine.
_CHAIN = "config;process;sso;web_identity;instance"
# What a session that people type SQL in turns off, and a lake needs until it is attached.
_ACCESS = "enable_external_access"
_INSTALL = "install it: `make lake`, or pip install 'clearwell[lake]'"


@dataclass(frozen=True)
class Lake:
    """A lake: the connection of its catalog, the folder or S3 address of its files, and one of its snapshots, or none for the last."""

    catalog: str
    files: str
    snapshot: int | None = None

    @property
    def is_in_s3(self) -> bool:
        return is_s3(self.files)


def is_lake(path: Path) -> bool:
    """Say whether a path is that of a file that names a lake, and not of a DuckDB file."""
    return path.suffix == LAKE


def read(path: Path) -> Lake:
    """Read the file that names a lake."""
    try:
        return Lake(**json.loads(path.read_text()))
    except (TypeError, ValueError) as error:
        raise Broken(
            "the file that names the state's lake cannot be read",
            where=str(path),
            todo="delete it and run `clearwell lake use CONNECTION FILES` again",
        ) from error


def write(path: Path, lake: Lake) -> None:
    """Write the file that names a lake."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write(path, json.dumps(asdict(lake), indent=1) + "\n")


def create(lake: Lake) -> None:
    """Create the lake in its catalog's database, unless it is there. Other files than those the catalog names are Permanent."""
    with duckdb.connect() as connection:
        _attach(connection, lake, "lake", f"data_path {literal(lake.files)}")


def connected(
    path: Path, *, read_only: bool, config: Mapping[str, str], spill: Path, snapshot: int | None = None
) -> duckdb.DuckDBPyConnection:
    """Connect to a lake, whose tables are then those of the connection. A reader sees one snapshot: the last, if none is given."""
    given: dict[str, Any] = {"temp_directory": str(spill), **config}
    access = given.pop(_ACCESS, "true")
    connection = duckdb.connect(config=given)
    try:
        connection.execute("set enable_progress_bar = false")
        attach(connection, path, path.stem, read_only=read_only, snapshot=snapshot)
        connection.execute(f"use {path.stem}")
        if access == "false":
            connection.execute(f"set allowed_directories = [{literal(read(path).files)}]")
            connection.execute(f"set {_ACCESS} = false")
    except BaseException:
        connection.close()
        raise
    return connection


def attach(
    connection: duckdb.DuckDBPyConnection, path: Path, name: str, *, read_only: bool = True, snapshot: int | None = None
) -> None:
    """Attach a lake under a name. A reader sees one snapshot: that of the file or the one given, else the last."""
    lake = read(path)
    if not read_only:
        _attach(connection, lake, name)
        return
    snapshot = lake.snapshot if snapshot is None else snapshot
    if snapshot is None:
        _attach(connection, lake, name, "read_only")
        snapshot = current_snapshot(connection, name)
        connection.execute(f"detach {name}")
    _attach(connection, lake, name, "read_only", f"snapshot_version {snapshot}")


def files(connection: duckdb.DuckDBPyConnection, path: Path) -> list[str]:
    """List the files that lie where a lake has its own, also those of no snapshot. The connection is one to this lake."""
    pattern = f"{read(path).files.rstrip('/')}/**"
    return [one for (one,) in connection.execute(f"from glob({literal(pattern)}) order by all").fetchall()]


def catalog(lake: Lake) -> "psycopg.Connection[tuple[Any, ...]]":
    """Connect to the Postgres that has a lake's catalog, without transactions. One that does not answer is Transient."""
    import psycopg  # 0.1 s that every command would pay

    address = connections.find(lake.catalog, Home.from_environment())
    try:
        return psycopg.connect(address.url, autocommit=True)
    except psycopg.Error:
        raise _unanswered(address) from None


def current_snapshot(connection: duckdb.DuckDBPyConnection, name: str) -> int:
    """Return the snapshot of a lake that a connection sees under a name."""
    return int(connection.execute(f"select id from {name}.current_snapshot()").fetchall()[0][0])


def is_connected(connection: duckdb.DuckDBPyConnection) -> bool:
    """Say whether the connection's own tables are those of a lake."""
    query = "select type from duckdb_databases() where database_name = current_database()"
    return bool(connection.execute(query).fetchall()[0][0] == "ducklake")


def _attach(connection: duckdb.DuckDBPyConnection, lake: Lake, name: str, *options: str) -> None:
    address = connections.find(lake.catalog, Home.from_environment())
    with _told(lake, address):
        for extension in ("ducklake", "postgres_scanner", *(["httpfs", "aws"] if lake.is_in_s3 else [])):
            connection.execute(f"load {literal(_extension(extension))}")
        if lake.is_in_s3:
            connection.execute(_s3_secret(from_environment()))
        connection.execute(
            f"attach {literal(f'ducklake:postgres:{address.url}')} as {name}"
            + (f" ({', '.join(options)})" if options else "")
        )


def _extension(name: str) -> str:
    """Return the file of an extension of DuckDB, which a package of the same version brings: nothing is downloaded."""
    found = find_spec(f"duckdb_extension_{name}")
    folders = found.submodule_search_locations if found else None
    file = Path(next(iter(folders or [""]))) / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    if not folders or not file.is_file():
        raise Permanent(
            f"the state is in a lake, but DuckDB's extension {name} {duckdb.__version__} is not installed",
            todo=_INSTALL,
        )
    return str(file)


def _s3_secret(store: Store) -> str:
    """Return the statement that tells DuckDB what the variables of S3 say. Without a key, it looks for a profile or a role."""
    if store.key_id and store.secret:
        keys = {"key_id": store.key_id, "secret": store.secret, "session_token": store.session_token}
        parts = [f"{name} {literal(value)}" for name, value in keys.items() if value]
    else:
        # "auto" asks for the keys of a role again before they expire. DuckDB reads AWS_PROFILE itself: a profile that is
        # named here would have to be in the file of settings, and not in that of keys.
        parts = ["provider credential_chain", f"chain {literal(_CHAIN)}", "refresh auto"]
    parts += [f"region {literal(store.region)}"] if store.region else []
    if store.endpoint:
        parts += [f"endpoint {literal(store.endpoint)}", "url_style 'path'", f"use_ssl {store.scheme == 'https'}"]
    return f"create or replace secret lake (type s3, {', '.join(parts)})"


@contextmanager
def _told(lake: Lake, address: connections.Address) -> Iterator[None]:
    """Report what DuckDB cannot open, without its message: it repeats the catalog's address, with the password."""
    try:
        yield
    except duckdb.Error as error:
        said = str(error).replace(address.url, "…")
        if "does not match existing data path" in said:
            raise Permanent(
                "the lake of this catalog has its files elsewhere",
                where=lake.files,
                todo="name the place that the other machines name, or another database for another lake",
            ) from None
        if "Secret Validation Failure" in said:
            raise Permanent(
                "the lake's files are in S3, but there is no key for it, no profile and no role",
                where="AWS_ACCESS_KEY_ID",
                todo="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role",
            ) from None
        if "Unable to connect to Postgres" in said:
            raise _unanswered(address) from None
        raise Permanent(
            f"the state's lake cannot be opened: {said.splitlines()[0]}",
            where=f"{lake.catalog}, {lake.files}",
            todo="`clearwell lake use CONNECTION FILES` creates a lake that does not exist yet",
        ) from None


def _unanswered(address: connections.Address) -> Transient:
    return Transient(
        "the catalog of the state's lake did not answer",
        where=address.given_as,
        todo=f"check {address.given_as} and that its server runs, and run the same command again",
    )
