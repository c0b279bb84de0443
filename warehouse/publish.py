"""Publish the state: readers see the whole new file or the whole old one, never a mix."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from ingestion import faults, lake
from ingestion.aside import set_aside
from ingestion.database import attached
from ingestion.errors import Broken, Permanent
from ingestion.home import Home
from warehouse import applied, comments, complete_views, dbt, keyed_hashes, shape, state
from warehouse.apply import change_tables
from warehouse.comments import Comment
from warehouse.personal import SILVER, for_readers, hidden, left_out, published_layers, published_silver
from warehouse.plan import Build

KEPT_STATES = 3


def publish(build: Build) -> None:
    """Update the published file to the state of this build, in one rename."""
    home, plan = build.home, build.plan()
    if pinned(home):
        return
    published = _last_published(home)
    if published == build.build_id:
        return
    without = left_out()
    # a hashed id cannot be matched with the build's
    if (
        plan.full
        or not published
        or published != plan.base
        or keyed_hashes.named()
        or not _is_for_readers(home, without)
    ):
        publish_state(home)
        return
    aside = _aside(home)
    shutil.copyfile(home.published, aside)
    with state.connect(aside, read_only=False) as connection:
        changes = [for_readers(change, without) for change in dbt.changes(build) if change.is_published]
        change_tables(connection, build, changes)
        connection.execute("checkpoint")
    _name(home, aside, build.build_id)


def publish_state(home: Home) -> None:
    """Publish the whole state: the first time, after a full build, and after a crash between apply and publish."""
    aside = _aside(home)
    with state.kept_open(home.state):
        with state.connect(home.state) as connection:
            applied.check_ledger(connection)
        _copy(home.state, aside)
        build_id = state.last_build(home.state)
    _name(home, aside, build_id)


def _copy(source: Path, aside: Path) -> None:
    """Copy the published tables and columns from the state, or from a kept one."""
    without, keys = left_out(), keyed_hashes.read()
    with state.connect(source) as connection:
        tables = [
            (row["table_schema"], row["table_name"], [name for name in row["columns"] if name.lower() not in away])
            for row in state.rows(connection, _TABLES, [list(published_layers()), list(published_silver())])
            for away in [hidden(row["table_schema"], row["table_name"], without)]
        ]
        kinds = shape.read(connection) if lake.is_lake(source) else {}
    with state.connect(aside, read_only=False) as connection:
        with attached(connection, source, "source"):
            said = comments.read(connection, "source")
            for schema, table, columns in tables:
                connection.execute(f"create schema if not exists {schema}")
                of_columns = said[schema, table].columns if (schema, table) in said else {}
                of_lake = kinds.get((schema, table), {})
                meant = [f"{name}::{kind} as {name}" for name, kind in of_lake.items() if kind in lake.KEPT_AS]
                rows = (
                    f"(select * replace ({', '.join(meant)}) from source.{schema}.{table})"
                    if meant
                    else f"source.{schema}.{table}"
                )
                chosen = ", ".join(keyed_hashes.expression(name, keys, of_columns.get(name, "")) for name in columns)
                query = f"create table {schema}.{table} as select {chosen} from {rows}"
                connection.execute(query, keyed_hashes.parameters(query, keys))
            connection.begin()  # some hundred comments: each alone would be forced to disk
            comments.write(connection, {key: _with_hashes(one, keys) for key, one in said.items()})
            connection.commit()
        complete_views.write(connection)
        connection.execute("checkpoint")


def _with_hashes(said: Comment, keys: keyed_hashes.Keys) -> Comment:
    columns = {name.lower(): keyed_hashes.comment(name, text, keys) for name, text in said.columns.items()}
    return replace(said, columns=columns)


def _is_for_readers(home: Home, without: Mapping[str, frozenset[str]]) -> bool:
    """Say whether the published file has exactly the state's columns that are published: a contract may have changed."""
    with state.connect(home.state) as connection, attached(connection, home.published, "published"):
        found = state.rows(connection, _SILVER_COLUMNS, [list(published_silver())])
    return all(
        row["is_published"] is (row["column_name"].lower() not in hidden(SILVER, row["table_name"], without))
        for row in found
    )


def catch_up(home: Home) -> None:
    """Publish a state that was applied but not published."""
    newest = state.last_build(home.state)
    if newest and not pinned(home) and newest != _last_published(home):
        publish_state(home)


@dataclass(frozen=True)
class Pin:
    """An older state that readers see for now: which, why, by whom and since when."""

    build_id: str
    reason: str
    pinned_by: str
    pinned_at: str


def pinned(home: Home) -> Pin | None:
    """Return the pin; None if readers get each new state. A pin that cannot be read still pins."""
    try:
        return read_pin(home)
    except Broken as error:
        return Pin("", str(error), "", "")


def read_pin(home: Home) -> Pin | None:
    """Read the pin, if there is one; Broken if its file is damaged."""
    try:
        return Pin(**json.loads(_pin(home).read_text()))
    except FileNotFoundError:
        return None
    except (TypeError, ValueError) as error:
        raise Broken("the file that says which build is pinned cannot be read", where=str(_pin(home))) from error


def pin(home: Home, build_id: str, reason: str, by: str, at: datetime) -> None:
    """Publish a kept state, and let builds publish nothing until `unpin`."""
    with state.lock(home):
        kept = {path.stem: path for path in kept_states(home)}
        if build_id not in kept:
            todo = (
                f"name one of those that are: {', '.join(kept)}"
                if kept
                else "no state is kept yet: `clearwell build` publishes the first one"
            )
            raise Permanent(f"the state of build {build_id} is not kept", todo=todo)
        write_pin(home, Pin(build_id, reason, by, at.isoformat()))
        aside = _aside(home)
        # A kept state may be older than a contract's change that makes a column personal.
        _copy(kept[build_id], aside)
        state.durable_rename(aside, home.published)


def write_pin(home: Home, what: Pin) -> None:
    """Let builds publish nothing until `unpin`."""
    part = _pin(home).with_suffix(".part")
    part.write_text(json.dumps(asdict(what)))
    state.durable_rename(part, _pin(home))


def unpin(home: Home) -> None:
    """Publish the present state again."""
    with state.lock(home):
        if not pinned(home):
            raise Permanent("nothing is pinned", todo="nothing: readers see the present state")
        _pin(home).unlink()
        catch_up(home)


def kept_states(home: Home) -> list[Path]:
    """List the last few published states."""
    return sorted(_kept(home).glob("*.duckdb"))


def _last_published(home: Home) -> str:
    """Return the published build. A damaged published file is set aside, so that a whole one replaces it."""
    try:
        with faults.named():
            return state.last_build(home.published)
    except Broken as error:
        set_aside(home, home.published, error.what)
        return ""


def _pin(home: Home) -> Path:
    return home.published.parent / "pinned.json"


def _kept(home: Home) -> Path:
    return home.published.parent / "kept"


_TABLES = """
    select table_schema, table_name, list(column_name order by ordinal_position) as columns
    from information_schema.columns
    inner join information_schema.tables using (table_catalog, table_schema, table_name)
    where
        table_catalog = current_database() and table_type = 'BASE TABLE'
        and (table_schema in (select unnest($1)) or (table_schema = 'silver' and table_name in (select unnest($2))))
    group by all
    order by table_schema, table_name
"""
_SILVER_COLUMNS = """
    select
        table_name, column_name,
        exists (
            select 1 from information_schema.columns as published
            where
                published.table_catalog = 'published' and published.table_schema = 'silver'
                and published.table_name = columns.table_name and published.column_name = columns.column_name
        ) as is_published
    from information_schema.columns as columns
    where table_catalog = current_database() and table_schema = 'silver' and table_name in (select unnest($1))
"""


def next_file(home: Home) -> Path:
    """Return the file that a publish writes before it takes the published name."""
    return home.published.with_name(".next.duckdb")


def _aside(home: Home) -> Path:
    home.published.parent.mkdir(parents=True, exist_ok=True)
    aside = next_file(home)
    state.drop(aside)
    return aside


def _name(home: Home, aside: Path, build_id: str) -> None:
    """Rename a file to the published name, and keep the last few states under their builds' ids."""
    kept = _kept(home)
    kept.mkdir(exist_ok=True)
    mine = kept / f"{build_id}.duckdb"
    mine.unlink(missing_ok=True)
    mine.hardlink_to(aside)
    state.durable_rename(aside, home.published)
    for old in sorted(kept.iterdir())[:-KEPT_STATES]:
        old.unlink()
