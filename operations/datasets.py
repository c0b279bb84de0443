"""Add a dataset to the dbt project from a sample of its source, check one against its source, and list all.

`add` writes a dataset's files whole or not at all, and never over another file. `check` lands one window in a home of its own,
parses it there, and deletes it.
"""

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import duckdb

from ingestion import atomic, bronze, connections, releases, sources
from ingestion.addresses import is_http, is_sftp, shown, split_http
from ingestion.contract import PROJECT, Contract, read_contracts, say_duration
from ingestion.errors import Permanent
from ingestion.fields import guess
from ingestion.home import Home
from ingestion.manifest import Manifest
from ingestion.names import is_path, is_path_of_list, source_columns, top_of, unfit
from ingestion.sources import database_tables, locations, s3
from ingestion.sql import literal
from ingestion.times import clock_of
from ingestion.window import DAY, Window, parse_time
from operations import samples
from operations.dataset_files import PROJECT_FILE, datasets_of, files, with_dataset
from operations.guesses import plain_names
from operations.propose import Asked, Proposal, propose
from warehouse import state
from warehouse.build import parse_aside

_NAME = re.compile(r"[a-z][a-z0-9_]*")
# A name of the SQL that is made for every dataset.
_TAKEN = ("final", "state", "touched")
_BLOCK = re.compile(r"{% docs (\w+) %}")
_EXAMPLES = 3
# The kind of source that lands each dataset by itself.
_FILES = "file"


@dataclass(frozen=True)
class Checked:
    """What became of one window of a dataset, landed aside.

    `fates` and `refused` count records, with an example of each reason. Records that could enter but are in a batch with too many
    refused ones are `held`. `unknown` are columns of the source that the contract
    does not read, `lacking` those of the contract that the source does not have, and `colliding` keys with more than one content.
    """

    dataset: str
    window: Window
    records: int
    fates: tuple[dict[str, object], ...]
    refused: tuple[dict[str, object], ...]
    unknown: tuple[str, ...]
    lacking: tuple[str, ...]
    colliding: tuple[dict[str, object], ...]
    messages: tuple[str, ...] = ()

    @property
    def is_usable(self) -> bool:
        """Say whether any record is accepted; a window without records refuses none."""
        return not self.records or sum(map(self.count, ("dead_letter", "held", "withdrawn"))) < self.records

    def count(self, fate: str) -> int:
        """Return the number of records of a fate."""
        return sum(int(str(one["records"])) for one in self.fates if one["fate"] == fate)


def propose_dataset(asked: Asked, now: datetime, project: Path = PROJECT) -> Proposal:
    """Look at a source, and propose a contract for it. A name that is taken, or cannot be one, is Permanent."""
    _check_name(asked.name, project)
    if asked.source and not _NAME.fullmatch(asked.source):
        raise Permanent(f"a source cannot be called {asked.source!r}", todo="use lower-case letters, digits and _")
    asked = replace(asked, place=_place(asked.place))
    if asked.each and asked.each != "$" and not is_path(asked.each):
        asked = replace(asked, each=f"$.{asked.each}")
    if asked.each and not is_path_of_list(asked.each):
        raise Permanent(
            f"--each names {asked.each}, which is no path of a list",
            todo="write it by its names, such as $.line_items; or $, if a line is a list itself",
        )
    return propose(asked, samples.read_sample(asked.place, each=asked.each), now)


def _place(place: str) -> str:
    """Return a place as a contract may say it: a relative path from the root, and no address with a password."""
    if is_http(place):
        parts = split_http(place)
        if not parts or parts.username or parts.password:
            raise Permanent(
                "the address cannot be read, or holds a user or a password, which no contract may",
                where=shown(place),
                todo="set a variable to the address, and name it: --from '${REVIEWS}'",
            )
        return place
    if place.startswith(("$", "package:", "/", "~")) or s3.is_s3(place) or is_sftp(place) or samples.table_of(place):
        return place
    return str(Path(place).absolute())


def _check_name(name: str, project: Path) -> None:
    if not _NAME.fullmatch(name) or unfit(name) or name in _TAKEN:
        raise Permanent(
            f"a dataset cannot be called {name!r}",
            todo=f"use lower-case letters, digits and _, and no word of SQL or of Clearwell's own columns{_near(name)}",
        )
    if name in datasets_of((project / PROJECT_FILE).read_text()):
        raise Permanent(
            f"there is a dataset {name} already",
            todo=f"use another name; or have {name} read your data, as docs/your-data.md shows: its contract says where and how",
        )


def _near(name: str) -> str:
    """Suggest a name like one that a dataset cannot have."""
    (plain,) = plain_names([name])
    plain = plain if plain not in _TAKEN else f"{plain}_data"
    return f", such as {plain}" if plain != name and _NAME.fullmatch(plain) else ""


def write(proposal: Proposal, project: Path = PROJECT) -> tuple[Path, ...]:
    """Write the files of a proposed dataset, release its contract, and return their paths.

    All of it is made and checked in a copy of the project first. If anything fails, nothing is left.
    """
    name = proposal.asked.name
    _check_name(name, project)
    with tempfile.TemporaryDirectory() as folder:
        made = _made_in_copy(proposal, project, Path(folder) / "dbt_project")
    listed = project / PROJECT_FILE
    with ExitStack() as undo:
        written = [_create(project / path, text, undo) for path, text in made.items()]
        _replace(listed, with_dataset(listed.read_text(), name))
        undo.pop_all()
    return (*written, listed)


def _made_in_copy(proposal: Proposal, project: Path, copy: Path) -> dict[PurePosixPath, str]:
    """Return the files of a dataset as they are after its release, made in a copy of the project."""
    name, texts = proposal.asked.name, files(proposal)
    shutil.copytree(project, copy, ignore=shutil.ignore_patterns("target", "logs"))
    # what a killed command left is made again
    shutil.rmtree(releases.folder(copy, name), ignore_errors=True)
    for path, text in texts.items():
        _refuse_other(project / path, text)
        (copy / path).unlink(missing_ok=True)
    _refuse_blocks(copy, texts)
    listed = copy / PROJECT_FILE
    listed.write_text(with_dataset(listed.read_text(), name))
    for path, text in texts.items():
        (copy / path).write_text(text)
    version = _released(name, proposal, copy)
    paths = [*texts, PurePosixPath(releases.folder(copy, name).relative_to(copy)) / f"v{version}.yml"]
    found = {path: (copy / path).read_text() for path in paths}
    for path, text in found.items():
        _refuse_other(project / path, text)
    return found


def _released(name: str, proposal: Proposal, copy: Path) -> int:
    """Release the contract in the copy; return its version. What no contract may say is an error of the place, not of a file."""
    try:
        version = releases.release(name, copy)
        broken = [one.what for one in releases.check(copy) if one.dataset == name]
    except Permanent as error:
        broken = [error.what]
    if broken:
        raise Permanent(
            f"no contract reads this source as it is: {broken[0]}",
            where=shown(proposal.asked.place),
            todo="deliver it in another format, or write the contract by hand: docs/new-dataset.md",
        )
    return version


def _refuse_blocks(project: Path, texts: Mapping[PurePosixPath, str]) -> None:
    """Refuse descriptions under names that the project has already: dbt would not read it any more."""
    taken = {block for path in (project / "models").rglob("*.md") for block in _BLOCK.findall(path.read_text())}
    made = {block for path, text in texts.items() if path.suffix == ".md" for block in _BLOCK.findall(text)}
    if twice := sorted(taken & made):
        raise Permanent(f"the project describes {twice[0]} already", todo="give the dataset another name")


def _refuse_other(path: Path, text: str) -> None:
    """Refuse to overwrite a file. The same file, as a killed command leaves it, may stay."""
    if path.exists() and not (path.is_file() and path.read_text() == text):
        raise Permanent(
            "the file is there already", where=str(path), todo="move it away, or give the dataset another name"
        )


def _create(path: Path, text: str, undo: ExitStack) -> Path:
    """Write a file that is not there, and plan its removal."""
    if not path.parent.exists():
        path.parent.mkdir(parents=True)
        undo.callback(_remove_empty, path.parent)
    if not path.exists():
        undo.callback(path.unlink, missing_ok=True)
        _replace(path, text)
    return path


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _replace(path: Path, text: str) -> None:
    """Give a file its text, and leave its permissions as they are."""
    with atomic.replacing(path) as aside:
        aside.write_text(text)
        if path.exists():
            shutil.copymode(path, aside)


def check(home: Home, dataset: str, window: Window | None, now: datetime, project: Path = PROJECT) -> Checked:
    """Land one window of a dataset aside, parse it, and say what became of its records. Nothing in the home changes.

    Without a window, it is the newest day of the source.
    """
    contracts = read_contracts(project)
    if dataset not in contracts:
        raise Permanent(
            f"there is no dataset {dataset!r}{guess(dataset, contracts)}", todo=f"name one of: {', '.join(contracts)}"
        )
    contract = replace(contracts[dataset], expect_records_every=None)
    if not contract.kind:
        raise Permanent(f"{dataset} has no source: Clearwell writes it itself", todo="name another dataset")
    window = window or newest_day(home, contract, now)
    alone = {
        name: one for name, one in contracts.items() if contract.kind != _FILES or one.source != contract.source
    } | {dataset: contract}
    # a folder for staging: if this process is killed, the next one deletes it
    with bronze.staged(home, "check") as folder:
        aside = replace(home, root=folder, shop_url=_shop_url(home, contract))
        lines: list[str] = []
        landing = sources.ingest(contract.source, window, aside, now, lines.append, alone)
        manifests = [one for one in landing.manifests if one.dataset == dataset]
        return _checked(aside, contract, window, manifests, lines, now, project)


def _shop_url(home: Home, contract: Contract) -> str | None:
    """Return the address of the home's own shop, which a home aside does not have."""
    try:
        return home.database_url()
    except Permanent:
        if connections.SHOP in connections.needed([contract]):
            raise
        return None


def newest_day(home: Home, contract: Contract, now: datetime) -> Window:
    """Return the newest day that a source has: of its newest folder or file, or of the newest row of its last file.

    A source without dates has today.
    """
    if contract.kind == "table":
        return _day(database_tables.newest(contract, home) or now)
    if contract.kind == "hours" and (days := [one.name for one in home.landing.glob("????-??-??")]):
        return _day(parse_time(max(days)))
    if contract.kind != _FILES or not hasattr(contract.settings, "location"):
        raise _unknown_day(contract)
    location = locations.location_of(contract)
    if found := samples.newest_date(location):
        return _day(parse_time(found))
    if is_http(location) and locations.is_dated(location):
        raise _unknown_day(contract)
    dated_by = contract.event_time or contract.record_date
    return _day(_newest_row(contract, location, dated_by) if dated_by else now)


def _unknown_day(contract: Contract) -> Permanent:
    return Permanent(f"the newest day of {contract.source} is not known", todo="give --from DATE and --to DATE")


def _newest_row(contract: Contract, location: str, column: str) -> datetime:
    """Read the last file whole, and return the latest time in it."""
    clock = clock_of(contract.column(column))
    times = (clock(text) for text in samples.last_texts(contract, location, column))
    latest = max((at for at in times if at), default=None)
    if latest is None:
        raise Permanent(
            f"no record of {contract.dataset} has a time in {column}",
            where=contract.dataset,
            todo="give --from DATE and --to DATE, or correct how the contract reads it",
        )
    return latest


def _day(at: datetime) -> Window:
    return Window.around(at if at.tzinfo else at.replace(tzinfo=UTC), DAY)


def _checked(
    home: Home,
    contract: Contract,
    window: Window,
    manifests: Sequence[Manifest],
    messages: Sequence[str],
    now: datetime,
    project: Path,
) -> Checked:
    records = sum(one.records_written for one in manifests)
    rows = _parsed(home, contract, manifests, now, project) if records else []
    columns = _columns_of(home, contract, manifests)
    read = _found_at_source(contract, columns)
    return Checked(
        dataset=contract.dataset,
        window=window,
        records=records,
        fates=tuple({"fate": row["name"], "records": row["records"]} for row in rows if row["what"] == "fate"),
        refused=tuple(
            {"reason": row["name"], "records": row["records"], "examples": list(row["examples"])}
            for row in rows
            if row["what"] == "refused"
        ),
        unknown=tuple(one for one in columns if one not in {*read.values(), *_read_beside(contract, columns)})
        if records
        else (),
        lacking=tuple(one.name for one in contract.columns if one.is_at_source and one.name not in read)
        if records
        else (),
        colliding=tuple({"key": row["name"], "contents": row["records"]} for row in rows if row["what"] == "key"),
        messages=tuple(messages),
    )


def _found_at_source(contract: Contract, columns: Sequence[str]) -> dict[str, str]:
    """Map the contract's columns to the source's; one that is read from a path to the name that the path begins with."""
    starts = {one.name: [top_of(name) for name in one.at_source if is_path(name)] for one in contract.columns}
    plain = contract.in_source([one.name for one in contract.columns], columns)
    return {**{name: start for name, found in starts.items() for start in found if start in columns}, **plain}


def _read_beside(contract: Contract, columns: Sequence[str]) -> set[str]:
    """Return the source's columns that say which rows are meant, or that others are joined of."""
    names = [*(one.names for one in contract.where), *((part,) for one in contract.columns for part in one.joined)]
    starts = {top_of(name) for several in names for name in several if is_path(name)}
    return starts | set(source_columns({str(place): one for place, one in enumerate(names)}, columns).values())


def _parsed(
    home: Home, contract: Contract, manifests: Sequence[Manifest], now: datetime, project: Path
) -> list[state.Row]:
    key = ", ".join(f"{name}::varchar" for name in contract.key)
    query = _FOUND.format(dataset=contract.dataset, key=f"concat_ws(', ', {key})", examples=_EXAMPLES)
    with state.connect(home.state, read_only=False):  # the state of a new home, which dbt attaches
        pass
    return parse_aside(home, project, contract.dataset, manifests, query, now, through="records")


_FOUND = """
    with refused as (
        select unnest(reasons) as reason, coalesce(raw, batch_id || ':' || record_no) as raw, batch_id, record_no
        from scratch.staging.{dataset} where reasons is not null and reasons <> ['not_selected']
    ),

    contents as (
        select {key} as key, count(*) filter (where fate <> 'duplicate') as contents
        from records.{dataset} group by key
    )

    select 'fate' as what, fate as name, count(*) as records, cast(null as varchar[]) as examples
    from records.{dataset} group by fate
    union all
    select 'fate', case when reasons = ['not_selected'] then 'withdrawn' else 'dead_letter' end, count(*), null
    from scratch.staging.{dataset} where reasons is not null group by all
    union all
    select 'fate', 'held', count(*), null from scratch.staging.{dataset}
    where reasons is null and batch_id in (select batch_id from plan.held) having count(*) > 0
    union all
    select 'refused', reason, count(*), (list(left(raw, 300) order by batch_id, record_no))[:{examples}] from refused group by reason
    union all
    (select 'key', key, contents, null from contents where contents > 1 order by contents desc, key limit 20)
    order by what, records desc, name
"""


def _columns_of(home: Home, contract: Contract, manifests: Sequence[Manifest]) -> list[str]:
    """List the columns that the source has: those of its rows, or the names in its lines."""
    if contract.format != "json_lines":
        return list(dict.fromkeys(name for one in manifests for name in one.columns))
    paths = [path for one in manifests for path in bronze.parquet_files(home, one)]
    if not paths:
        return []
    listed = ", ".join(literal(Path(one)) for one in paths)
    with duckdb.connect() as connection:
        found = connection.execute(
            f"select distinct unnest(json_keys(raw)) from read_parquet([{listed}]) where json_valid(raw) and json_type(raw) = 'OBJECT'"
        ).fetchall()
    return sorted(name for (name,) in found)


def list_datasets(project: Path = PROJECT) -> list[dict[str, object]]:
    """List the datasets, with where they come from and how they are identified and dated."""
    contracts: Mapping[str, Contract] = read_contracts(project)
    return [
        {
            "dataset": name,
            "source": one.source,
            "kind": one.kind or "own",
            "format": one.format,
            "key": ", ".join(one.key),
            "event_time": one.event_time,
            "cadence": say_duration(one.cadence),
            "owner": one.owner,
        }
        for name, one in sorted(contracts.items())
    ]
