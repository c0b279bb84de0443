"""Publish: readers see the whole new file, or still the whole old one."""

import json
import shutil
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from ingestion import faults
from ingestion.aside import set_aside
from ingestion.errors import Broken, Permanent
from ingestion.home import Home
from warehouse import dbt, state
from warehouse.apply import change_tables, copy_tables, durable_rename
from warehouse.plan import Build

KEPT_STATES = 3


def publish(build: Build) -> None:
    """Bring the published file to the state of this build, in one rename."""
    home, plan = build.home, build.plan()
    if pinned(home):
        return
    published = _last_published(home)
    if published == build.build_id:
        return
    if plan.full or not published or published != plan.base:
        publish_state(home)
        return
    aside = _aside(home)
    shutil.copyfile(home.published, aside)
    with state.connect(aside, read_only=False) as connection:
        change_tables(connection, build, [change for change in dbt.changes(build) if change.is_published])
        connection.execute("checkpoint")
    _name(home, aside)


def publish_state(home: Home) -> None:
    """Publish what the state holds: the first time, after a full build, and after a crash between apply and publish."""
    aside = _aside(home)
    with state.connect(home.state) as connection:
        tables = [(row["table_schema"], row["table_name"]) for row in state.rows(connection, _TABLES)]
    with state.connect(aside, read_only=False) as connection:
        copy_tables(connection, home.state, tables)
        connection.execute("checkpoint")
    _name(home, aside)


def catch_up(home: Home) -> None:
    """Publish a state that was applied but not published."""
    applied = state.last_build(home.state)
    if applied and not pinned(home) and applied != _last_published(home):
        publish_state(home)


@dataclass(frozen=True)
class Pin:
    """An older state that readers are given for now: which, why, by whom and since when."""

    build_id: str
    reason: str
    pinned_by: str
    pinned_at: str


def pinned(home: Home) -> Pin | None:
    """Return what is pinned; None when readers get each new state. A pin that cannot be read still pins."""
    try:
        return read_pin(home)
    except Broken as error:
        return Pin("", str(error), "", "")


def read_pin(home: Home) -> Pin | None:
    """Read the pin, if there is one; Broken if it is none."""
    try:
        return Pin(**json.loads(_pin(home).read_text()))
    except FileNotFoundError:
        return None
    except (TypeError, ValueError) as error:
        raise Broken("what is pinned cannot be read", where=str(_pin(home))) from error


def pin(home: Home, build_id: str, reason: str, by: str, at: datetime) -> None:
    """Publish a kept state, and let builds publish nothing until `unpin`."""
    kept = _kept(home) / f"{build_id}.duckdb"
    with state.lock(home):
        if not kept.exists():
            names = ", ".join(sorted(path.stem for path in _kept(home).glob("*.duckdb"))) or "none"
            raise Permanent(f"the state of build {build_id} is not kept", todo=f"name one of those that are: {names}")
        write_pin(home, Pin(build_id, reason, by, at.isoformat()))
        aside = _aside(home)
        shutil.copyfile(kept, aside)
        durable_rename(aside, home.published)


def write_pin(home: Home, what: Pin) -> None:
    """Let builds publish nothing until `unpin`."""
    part = _pin(home).with_suffix(".part")
    part.write_text(json.dumps(asdict(what)))
    durable_rename(part, _pin(home))


def unpin(home: Home) -> None:
    """Publish the present state again."""
    with state.lock(home):
        if not pinned(home):
            raise Permanent("nothing is pinned", todo="clearwell builds list")
        _pin(home).unlink()
        catch_up(home)


def kept_states(home: Home) -> list[Path]:
    """List the last few published states."""
    return sorted(_kept(home).glob("*.duckdb"))


def _last_published(home: Home) -> str:
    """Return the build that readers have. A file that is damaged is set aside, so that they are given a whole one."""
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
    select table_schema, table_name from information_schema.tables
    where
        table_catalog = current_database() and table_type = 'BASE TABLE'
        and (table_schema in ('gold', 'ops') or (table_schema = 'silver' and table_name in ('customers', 'products')))
    order by all
"""


def _aside(home: Home) -> Path:
    home.published.parent.mkdir(parents=True, exist_ok=True)
    aside = home.published.with_name(".next.duckdb")
    state.drop(aside)
    return aside


def _name(home: Home, aside: Path) -> None:
    """Take the published name, and keep the last few states under their builds' ids."""
    kept = _kept(home)
    kept.mkdir(exist_ok=True)
    (kept / f"{state.last_build(aside)}.duckdb").unlink(missing_ok=True)
    (kept / f"{state.last_build(aside)}.duckdb").hardlink_to(aside)
    durable_rename(aside, home.published)
    for old in sorted(kept.iterdir())[:-KEPT_STATES]:
        old.unlink()
