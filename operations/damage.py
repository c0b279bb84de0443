"""Find damaged files: by a quick look at those that the next build and the readers need, or by a search of everything."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb

from ingestion import bronze, compacted, faults, lake
from ingestion.bronze import BatchRef
from ingestion.errors import Broken
from ingestion.home import Home
from ingestion.sources import decisions
from warehouse import plan, publish, state
from warehouse.plan import Build

NEXT = "clearwell repair"
_TABLES = """
    select schema_name || '.' || table_name as name from duckdb_tables()
    where database_name = current_database() and not temporary order by 1
"""


@dataclass(frozen=True)
class Damage:
    """One damaged file or folder: its kind, where it is, and what is wrong with it. A batch has a reference too.

    Kinds: state, published, kept (an older published state), pin, build, batch.
    """

    kind: str
    path: Path
    what: str
    ref: BatchRef | None = None

    @property
    def name(self) -> str:
        return self.ref.batch_id if self.ref else self.path.name


def glance(home: Home) -> list[Damage]:
    """Check the files that the next build and the readers need, and that batches in the state have all files in full size.

    The files of batches in the state are not opened: only `search` finds a byte changed in place.
    """
    found = [*_databases(home, is_whole=False), *_pin(home), *_builds(home, newest_only=True)]
    if any(one.kind == "state" for one in found):
        return found
    broken = {**plan.look(home).broken, **_missing(home)}
    return [*found, *(_batch(home, ref, why) for ref, why in sorted(broken.items()))]


def search(home: Home) -> list[Damage]:
    """Read everything: each table, each batch, each plan. Retracted batches are not checked."""
    found = [*_databases(home, is_whole=True), *_pin(home), *_builds(home, newest_only=False)]
    broken = bronze.look(home, check=partial(plan.verify, home)).broken
    missing = {} if any(one.kind == "state" for one in found) else _missing(home)
    return [*found, *(_batch(home, ref, why) for ref, why in sorted({**missing, **broken}.items()))]


def is_still(home: Home, one: Damage) -> bool:
    """Check again what was found damaged: a build may have been writing it. A batch is checked when it is repaired."""
    if one.kind == "batch":
        return True
    if one.kind == "pin":
        return any(_pin(home))
    if one.kind == "build":
        return any(other.path == one.path for other in _builds(home, newest_only=False))
    return bool(_read_database(one.path, is_whole=True))


def _databases(home: Home, *, is_whole: bool) -> Iterator[Damage]:
    for kind, path in (("state", home.state), ("published", home.published)):
        if why := _read_database(path, is_whole=is_whole):
            yield Damage(kind, path, why)
    if is_whole:
        for path in sorted(publish.kept_states(home)):
            if why := _read_database(path, is_whole=True):
                yield Damage("kept", path, why)


def _read_database(path: Path, *, is_whole: bool) -> str:
    try:
        with faults.named(str(path)):
            state.last_build(path)
            if is_whole and path.exists():
                _read_tables(path)
    except Broken as error:
        return error.what
    except duckdb.CatalogException as error:
        if not lake.is_lake(path):
            raise
        return f"its catalog is not whole: {str(error).splitlines()[0]}"
    except duckdb.IOException:
        if path.exists():  # else it is a kept state that a publish replaced meanwhile
            raise
    return ""


def _read_tables(path: Path) -> None:
    """Read each value of each table: DuckDB compares the checksums of the blocks that it reads."""
    with state.connect(path) as connection:
        for row in state.rows(connection, _TABLES):
            connection.execute(f"select bit_xor(hash(one)) from {row['name']} as one").fetchall()


def _pin(home: Home) -> Iterator[Damage]:
    try:
        publish.read_pin(home)
    except Broken as error:
        yield Damage("pin", Path(error.where), error.what)


def _builds(home: Home, *, newest_only: bool) -> Iterator[Damage]:
    """Check the plans and findings of builds; by default only of those after the published one."""
    folders = sorted(path for path in home.builds.glob("*") if path.is_dir())
    if newest_only:
        published = "" if _read_database(home.published, is_whole=False) else state.last_build(home.published)
        folders = [path for path in folders if path.name > published]
    for folder in folders:
        try:
            build = Build(home, folder.name)
            build.plan() if build.is_planned else None
            findings = build.verdict
            [(row["check_name"], row["result"]) for row in json.loads(findings.read_text())] if findings.exists() else 0
        except (Broken, KeyError, TypeError, ValueError) as error:
            yield Damage("build", folder, getattr(error, "what", f"its findings cannot be read: {error!r}"))


def _missing(home: Home) -> dict[BatchRef, str]:
    """Find the batches of the state that bronze has no longer, or in another size. Retracted ones are not checked."""
    there = bronze.list_files(home)
    query = "select dataset, window_date, batch_id, files, bytes from ops.batches"
    taken = {
        BatchRef(row["dataset"], row["window_date"], row["batch_id"]): row
        for row in state.read(home.state, "ops.batches", query)
    }
    odd = {
        ref
        for ref, row in taken.items()
        if ref in there
        and sum(there[ref].get(name, 0) for name in row["files"]) != row["bytes"]
        and not _is_compacted(home, ref, row["bytes"])
    }
    retracted = decisions.retracted(home) if odd else frozenset()
    return {
        **{
            ref: "its files have another size than when they were written"
            for ref in odd
            if ref.batch_id not in retracted
        },
        **{ref: "its folder or its manifest is missing" for ref in taken if ref not in there},
    }


def _is_compacted(home: Home, ref: BatchRef, size: int) -> bool:
    """Say whether a batch of this size lies in a file of compacted batches that has its full size."""
    for one in compacted.of_day(bronze.batch_folder(home, ref).parent):
        if ref.batch_id in one.batches and one.batches[ref.batch_id].bytes == size:
            path = one.folder / one.file.name
            return path.is_file() and path.stat().st_size == one.file.bytes
    return False


def _batch(home: Home, ref: BatchRef, why: str) -> Damage:
    return Damage("batch", bronze.batch_folder(home, ref), why, ref)
