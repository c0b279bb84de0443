"""Forget a person: replace their records by a mark, everywhere in the home, and leave a receipt.

The steps, each of which may be killed and is finished by the same command:

1. An order is written, with what the person is known by. From now on, landings keep the person out (`ingestion/forgotten.py`).
2. Bronze: the files of each batch that has the person are rewritten; the records' number, order and identity stay.
3. A decision about the receipt lands, and a build reads these batches again: the records are withdrawn.
4. The state is copied into a new file, as a DuckDB file keeps deleted rows in freed blocks, and published; older published states go.
   Of a lake, all tables are written anew, and older snapshots and their files are removed.
5. Other files of the home are searched: texts are blanked, and databases of old builds and files in `broken/` are removed.
6. Everything is searched once more. Then the receipt is written, and the order, the last file with the person in it, is deleted.
"""

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from ingestion import bronze, compacted, compaction, faults, forgotten, lake
from ingestion.contract import Contract, read_contracts
from ingestion.database import attached, spill_folder
from ingestion.errors import Permanent, Transient
from ingestion.forgotten import Changes
from ingestion.home import Home
from ingestion.land import Report
from ingestion.locks import hold, locked
from ingestion.manifest import Manifest
from ingestion.names import BAD_ROW, BRONZE_BATCH, RECORD_NO
from ingestion.sources import decisions
from ingestion.sources.decisions import Target
from ingestion.sql import identifier, literal
from operations.decide import By
from operations.lake_traces import search_lake
from operations.traces import LONG, Traces, blank_file, blank_tables, search
from warehouse import build as builds
from warehouse import keyed_hashes, lake_renewal, publish, state
from warehouse.apply import HISTORY
from warehouse.build import Request

CUSTOMER = "customer_id"
_FILES_AT_ONCE = 200


@dataclass(frozen=True)
class Person:
    """Whom to forget: an id, the column that has it, and other values that belong to nobody else, such as an e-mail address."""

    value: str
    column: str = CUSTOMER
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Order:
    """What is to be forgotten, kept until it is done. `before` has the checksums of the databases."""

    receipt: str
    column: str
    value: str
    ids: Mapping[str, tuple[str, ...]]
    values: tuple[str, ...]
    reason: str
    forgotten_by: str
    forgotten_at: str
    before: Mapping[str, str] = field(default_factory=dict)
    is_built: bool = False

    def traces(self) -> Traces:
        """Return what to look for."""
        return Traces(self.ids, self.values, _names(self.ids))


@dataclass(frozen=True)
class Found:
    """Records of a dataset that a person is in, and what becomes of them: `mark`, `blank columns` or `blank text`."""

    dataset: str
    becomes: str
    records: int
    batches: int


@dataclass(frozen=True)
class Place:
    """A file in which a person is found. `is_source` files belong to a source, and are not changed."""

    path: str
    where: str
    is_source: bool


@dataclass(frozen=True)
class Outcome:
    """What was forgotten, or would be; and where the person is still found, in files of sources."""

    receipt: str
    found: tuple[Found, ...]
    places: tuple[Place, ...]
    file: Path | None = None


def check(home: Home, person: Person) -> list[Place]:
    """Search every file of the home, and the landing folder, for a person. Nothing is changed."""
    _check_person(person)
    ids, values = _known_by(home, person, bronze.readable(home, bronze.list_batches(home)))
    return list(_search(home, Traces(ids, values, _names(ids))))


def preview(home: Home, person: Person) -> Outcome:
    """Return what `forget` would change. Nothing is changed."""
    _check_person(person)
    manifests = _manifests(home)
    ids, values = _known_by(home, person, manifests)
    traces = Traces(ids, values, _names(ids))
    found = _count(manifests, _find(home, traces, "", manifests))
    return Outcome("", found, tuple(_search(home, traces)))


def forget(home: Home, person: Person, by: By, report: Report, clock: Callable[[], datetime] | None = None) -> Outcome:
    """Forget a person; go on if that was interrupted. An id that no record has, and that was not forgotten, is Permanent."""
    _check_person(person)
    if publish.pinned(home):
        raise Permanent(
            "readers are shown an older state, which would keep the person",
            todo="`clearwell builds unpin`, and then the same command",
        )
    with hold(home.root / "forget.lock", "forgets a person", report):
        order = _unfinished(home, person)
        if not order:
            report("searching every batch and file of the home")
            found = preview(home, person)
            if not found.found and all(one.is_source for one in found.places):
                return _nothing(home, person, found)
            order = _order(home, person, by)
        forgotten.add_person(home, order.receipt, order.ids, report)
        traces = order.traces()
        _change_bronze(home, order, traces, report)
        if home.state.exists():
            order = _build(home, order, by.at, report, clock)
            _renew(home, order, traces, report)
        _clean(home, order, traces, report)
        report("searching every file of the home")
        places = tuple(_search(home, traces, spared=_of_order(home, order.receipt)))
        if left := [one for one in places if not one.is_source]:
            listed = ", ".join(f"{one.path} ({one.where})" for one in left[:5])
            raise Permanent(
                f"{len(left)} files of the home still have the person: {listed}",
                todo="delete them or take the person out of them, and run the same command again; "
                "for Airflow's own database: clearwell airflow db clean",
            )
        return _finish(home, order, places)


# --- what is known about a person ---


def _check_person(person: Person) -> None:
    """Refuse what would be found in everybody's records: a variable that was empty, or a missing value."""
    for one in (person.value, *person.values):
        if one.strip() in ("", "null"):
            raise Permanent(f"{one!r} is nobody's: every record may have it", todo="give the id of one person")
    _check_column(person.column)


def _check_column(column: str) -> None:
    known = {one.name for contract in read_contracts().values() for one in contract.columns if one.personal}
    if column not in known:
        raise Permanent(
            f"no contract marks {column!r} as personal",
            todo=f"name one of: {', '.join(sorted(known))}; or mark the column `personal: true` in its contract",
        )


def _names(ids: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return what sources call these columns."""
    contracts = read_contracts().values()
    return {
        column: tuple(sorted({name for one in contracts if one.column(column) for name in one.at_source(column)}))
        for column in ids
    }


def _manifests(home: Home) -> tuple[Manifest, ...]:
    """Read all manifests. One that is damaged is Permanent: its batch cannot be searched."""
    found = [bronze.read_manifest(home, ref) for ref in bronze.list_batches(home)]
    return tuple(found)


def _known_by(
    home: Home, person: Person, manifests: Iterable[Manifest]
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Return a person's ids, with those of linked visitors, and the values in the person's own record that nobody else has."""
    ids: dict[str, tuple[str, ...]] = {person.column: (person.value,)}
    if person.column == CUSTOMER:
        query = "select visitor_id from silver.visitor_accounts where customer_id = $1 and is_linked order by all"
        linked = tuple(
            row["visitor_id"] for row in state.read(home.state, "silver.visitor_accounts", query, [person.value])
        )
        ids |= {"visitor_id": linked} if linked else {}
    values = set(person.values) | keyed_hashes.of_ids(ids, keyed_hashes.read())
    contracts = read_contracts()
    for dataset, contract in contracts.items():
        if contract.key == (person.column,) and contract.format == "rows":
            of_dataset = [one for one in manifests if one.dataset == dataset and one.files]
            values |= set(_own_values(home, contract, of_dataset, person.value))
    return ids, tuple(sorted(one for one in values if len(one) >= LONG))


def _own_values(home: Home, contract: Contract, manifests: Iterable[Manifest], value: str) -> Iterator[str]:
    """Yield the personal values of the record with this key that no record with another key contains."""
    pairs: set[tuple[str, str]] = set()
    layouts = list(_layouts(manifests))
    for layout, files in layouts:
        key = forgotten.id_text(contract, layout, contract.key[0])
        for column in (one.name for one in contract.columns if one.personal):
            if key and (text := forgotten.id_text(contract, layout, column)):
                query = (
                    f"select distinct {text} from {_read(home, files)} where {key} = $1 and length({text}) >= {LONG}"
                )
                pairs |= {(column, row[0]) for row in _rows(query, [value])}
    for column, found in sorted(pairs):
        traces = Traces({}, (found,))
        queries = [
            f"select 1 from {_read(home, files)} where {key} <> $1 and ({traces.sql(text)}) limit 1"
            for layout, files in layouts
            if (key := forgotten.id_text(contract, layout, contract.key[0]))
            and (text := forgotten.id_text(contract, layout, column))
        ]
        if not any(_rows(query, [value]) for query in queries):
            yield found


# --- the order ---


def _unfinished(home: Home, person: Person) -> Order | None:
    """Read the order of this person that was not finished."""
    for path in sorted(forgotten.folder(home).glob(f"*{forgotten.ORDER}")):
        body = json.loads(path.read_text())
        if (body["column"], body["value"]) == (person.column, person.value):
            ids = {column: tuple(values) for column, values in body["ids"].items()}
            values = tuple(sorted({*body["values"], *(one for one in person.values if len(one) >= LONG)}))
            return Order(**{**body, "ids": ids, "values": values})
    return None


def _nothing(home: Home, person: Person, found: Outcome) -> Outcome:
    """Return the receipt of a person who is in the home no longer. Without one, it is Permanent: the id may be mistyped."""
    people = forgotten.read_people(home)
    receipt = people.receipts.get((person.column, people.hash(person.column, person.value)))
    if not receipt:
        raise Permanent(
            f"no record has this {person.column}, and no file of the home",
            todo="check the id: `clearwell trace ID`, or choose its column with --column",
        )
    return replace(found, receipt=receipt, file=forgotten.folder(home) / f"{receipt}.json")


def _order(home: Home, person: Person, by: By) -> Order:
    ids, values = _known_by(home, person, _manifests(home))
    people = forgotten.salted(home)
    number = 1
    while (forgotten.folder(home) / f"{_receipt(people, person, number)}.json").exists():
        number += 1
    databases = [path for path in (home.state, home.published) if path.exists()]
    order = Order(
        receipt=_receipt(people, person, number),
        column=person.column,
        value=person.value,
        ids=ids,
        values=values,
        reason=Traces(ids, values, _names(ids)).blank(by.reason),
        forgotten_by=by.name,
        forgotten_at=by.at.isoformat(),
        before={path.name if path == home.state else "published": _checksum(path) for path in databases},
    )
    _save(home, order)
    return order


def _receipt(people: forgotten.People, person: Person, number: int) -> str:
    return people.hash(person.column, f"{person.value} {number}")[:20]


def _order_file(home: Home, receipt: str) -> Path:
    return forgotten.folder(home) / f"{receipt}{forgotten.ORDER}"


def _log(home: Home, receipt: str) -> Path:
    return forgotten.folder(home) / f"{receipt}.done.jsonl"


def _of_order(home: Home, receipt: str) -> tuple[Path, ...]:
    return _order_file(home, receipt), _log(home, receipt)


def _save(home: Home, order: Order) -> None:
    forgotten.write_private(_order_file(home, order.receipt), json.dumps(asdict(order), indent=1))


def _note(home: Home, order: Order, **what: Any) -> None:
    """Add a line to the log of what the order has done, for the receipt."""
    with _log(home, order.receipt).open("a", encoding="utf-8") as file:
        file.write(json.dumps(what) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _notes(home: Home, order: Order) -> list[dict[str, Any]]:
    path = _log(home, order.receipt)
    notes = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        with suppress(ValueError):  # the last line of a killed process
            notes.append(json.loads(line))
    return notes


# --- bronze ---


def _change_bronze(home: Home, order: Order, traces: Traces, report: Report) -> None:
    with state.lock_build(home, report):
        for there in forgotten.unfinished(home):
            if following := forgotten.promised(there):
                _note_files(home, order, bronze.read_manifest(home, bronze.reference(following)), following)
            forgotten.put_in_place(there)
        manifests = {one.batch_id: one for one in _manifests(home)}
        changes = _find(home, traces, order.receipt, manifests.values())
        contracts = read_contracts()
        if days := _compacted_days(home, [manifests[batch_id] for batch_id in changes]):
            for day in days:
                compaction.unpack(home, day)
            manifests = {one.batch_id: one for one in _manifests(home)}
        for done, (batch_id, found) in enumerate(sorted(changes.items()), 1):
            manifest = manifests[batch_id]
            bronze.verify(home, manifest)  # a damaged file must not get a new checksum
            numbers = {
                becomes: sum(len(getattr(one, name)) for one in found.values()) for name, becomes in _BECOMES.items()
            }
            _note(home, order, batch_id=batch_id, dataset=manifest.dataset, records=numbers)
            following = forgotten.prepare(home, contracts[manifest.dataset], manifest, found)
            _note_files(home, order, manifest, following)
            forgotten.put_in_place(bronze.batch_folder(home, bronze.reference(manifest)))
            if done % 100 == 0 or done == len(changes):
                report(f"bronze: {done:,} of {len(changes):,} batches rewritten")


def _compacted_days(home: Home, manifests: Iterable[Manifest]) -> list[Path]:
    """List the folders of the days of which some of these batches share a file: their own are needed to change them."""
    return sorted(
        {
            bronze.batch_folder(home, bronze.reference(one)).parent
            for one in manifests
            if any(map(compacted.is_shared, bronze.parquet_files(home, one)))
        }
    )


def _note_files(home: Home, order: Order, before: Manifest, after: Manifest) -> None:
    files = [
        {"name": new.name, "sha256_before": old.sha256, "sha256_after": new.sha256}
        for old, new in zip(before.files, after.files, strict=True)
        if old != new
    ]
    _note(home, order, batch_id=before.batch_id, dataset=before.dataset, files=files)


def _batches(home: Home, order: Order) -> list[dict[str, Any]]:
    """Return the changed batches, each once: a step that was killed may be noted twice."""
    found: dict[str, dict[str, Any]] = {}
    for note in _notes(home, order):
        if "batch_id" in note:
            found[note["batch_id"]] = found.get(note["batch_id"], {}) | note
    return [found[batch_id] for batch_id in sorted(found)]


_BECOMES = {"whole": "mark", "personal": "blank columns", "texts": "blank text"}


def _find(home: Home, traces: Traces, receipt: str, manifests: Iterable[Manifest]) -> dict[str, dict[str, Changes]]:
    """Return what to change in bronze, by batch and file."""
    found: dict[str, dict[str, Changes]] = {}
    contracts = read_contracts()
    for layout, files in _layouts(one for one in manifests if one.dataset in contracts and one.files):
        contract = contracts[layout.dataset]
        query = (_in_lines if contract.format == "json_lines" else _in_rows)(contract, layout, traces)
        kept = all(forgotten.keeps_rest(contract, column) for column in traces.ids if contract.column(column))
        for first in range(0, len(files), _FILES_AT_ONCE):
            some = files[first : first + _FILES_AT_ONCE]
            numbers: dict[tuple[str, str], dict[str, set[int]]] = {}
            for path, shared, number, is_whole, is_person, has_text in _rows(query.format(source=_read(home, some))):
                of = numbers.setdefault(
                    (shared or Path(path).parent.name, Path(path).name), {name: set() for name in _BECOMES}
                )
                if is_whole or (is_person and not kept):
                    of["whole"].add(number)
                    continue
                if is_person:
                    of["personal"].add(number)
                if has_text:
                    of["texts"].add(number)
            for (batch_id, name), of in numbers.items():
                changes = Changes(receipt, **{n: frozenset(s) for n, s in of.items()}, patterns=traces.patterns)
                found.setdefault(batch_id, {})[name] = changes
    return found


def _layouts(manifests: Iterable[Manifest]) -> Iterator[tuple[Manifest, list[Manifest]]]:
    """Group manifests that have the same columns; yield one of each group, and all of it."""
    groups: dict[object, list[Manifest]] = {}
    for one in manifests:
        groups.setdefault((one.dataset, one.columns, tuple(sorted(one.renamed.items()))), []).append(one)
    for group in groups.values():
        yield group[0], group


def _read(home: Home, manifests: Iterable[Manifest]) -> str:
    """Return a source of records; the file of compacted batches is read once, and says whose each record is."""
    paths = sorted({Path(path) for one in manifests for path in bronze.parquet_files(home, one)})
    files = ", ".join(map(literal, paths))
    source = f"read_parquet([{files}], union_by_name = true, hive_partitioning = false, filename = 'bronze_file')"
    return f"(select cast(null as varchar) as {BRONZE_BATCH} where false union all by name select * from {source})"


def _in_lines(contract: Contract, layout: Manifest, traces: Traces) -> str:
    """Return a query for the lines that are a person's, or have a trace: `{source}` stands for the files."""
    same = _is_person(contract, layout, traces)
    traced = f"coalesce({traces.sql('raw')}, false)"
    in_bytes = f"coalesce({traces.sql('raw_bytes::varchar')}, false)"
    query = f"""
        select
            bronze_file, {BRONZE_BATCH}, {RECORD_NO},
            {same} or ({traced} and not json_valid(raw)) or {in_bytes} as is_whole, false as is_person, {traced} as has_text
        from {{source}}
        where {same} or {traced} or {in_bytes}
    """
    return _with_braces(query)


def _in_rows(contract: Contract, layout: Manifest, traces: Traces) -> str:
    same = _is_person(contract, layout, traces)
    away = {forgotten.physical(contract, layout, one.name) for one in contract.columns if one.personal}
    names = [layout.renamed.get(name, name) for name in layout.columns]
    traced, beside = (_texts_have(traces, some) for some in (names, [name for name in names if name not in away]))
    bad = f"coalesce({traces.sql(f'{BAD_ROW}::varchar')}, false)"
    query = f"""
        select bronze_file, {BRONZE_BATCH}, {RECORD_NO}, {bad} as is_whole, {same} as is_person,
            case when {same} then {beside} else {traced} end as has_text
        from (
            select cast(null as struct(reason varchar, raw varchar, raw_bytes blob, file varchar, line_number bigint)) as {BAD_ROW} where false
            union all by name
            select * from {{source}}
        )
        where {same} or {traced} or {bad}
    """
    return _with_braces(query)


def _texts_have(traces: Traces, columns: Iterable[str]) -> str:
    quoted = [identifier(name) for name in columns]
    texts = f"concat_ws(chr(1), {', '.join(quoted)})"
    return f"coalesce({traces.sql(texts)}, false)" if quoted else "false"


def _with_braces(query: str) -> str:
    """Double all braces but those of `{source}`, as the patterns have some."""
    return query.replace("{", "{{").replace("}", "}}").replace("{{source}}", "{source}")


def _is_person(contract: Contract, layout: Manifest, traces: Traces) -> str:
    tests = []
    for column, values in traces.ids.items():
        if text := forgotten.id_text(contract, layout, column):
            listed = ", ".join(map(literal, values))
            tests.append(f"coalesce({text} in ({listed}), false)")
    return f"({' or '.join(tests) or 'false'})"


def _rows(query: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
    with faults.named(), duckdb.connect() as connection:
        return connection.execute(query, parameters or []).fetchall()


def _count(manifests: Iterable[Manifest], found: Mapping[str, Mapping[str, Changes]]) -> tuple[Found, ...]:
    datasets = {one.batch_id: one.dataset for one in manifests}
    counted: dict[tuple[str, str], list[int]] = {}
    for batch_id, files in found.items():
        for name, becomes in _BECOMES.items():
            if number := sum(len(getattr(one, name)) for one in files.values()):
                counted.setdefault((datasets[batch_id], becomes), []).append(number)
    return tuple(Found(*key, sum(numbers), len(numbers)) for key, numbers in sorted(counted.items()))


# --- the state and what is published ---


def _build(home: Home, order: Order, now: datetime, report: Report, clock: Callable[[], datetime] | None) -> Order:
    """Land the decision, and read the changed batches again."""
    if order.is_built:
        return order
    at = datetime.fromisoformat(order.forgotten_at)
    dataset = next(name for name, one in sorted(read_contracts().items()) if one.column(order.column))
    target = Target(dataset, order.receipt)
    decisions.land(home, [decisions.forget(target, order.reason, order.forgotten_by, at)])
    reason = f"a person is forgotten: receipt {order.receipt}"
    builds.build(
        home,
        Request(reason=reason, again=tuple(note["batch_id"] for note in _batches(home, order))),
        now,
        report,
        clock,
    )
    order = replace(order, is_built=True)
    _save(home, order)
    return order


def _renew(home: Home, order: Order, traces: Traces, report: Report) -> None:
    """Replace the state by a copy of its rows, publish it, and remove older published states."""
    with state.lock_build(home, report), state.lock(home, report):
        report("copying the state, and publishing it")
        if lake.is_lake(home.state):
            _renew_lake(home, order, traces)
        else:
            _renew_file(home, traces)
        publish.publish_state(home)
        newest = state.last_build(home.state)
        for path in publish.kept_states(home):
            if path.stem != newest:
                _note(home, order, removed=str(path.relative_to(home.root)))
                state.drop(path)


def _renew_file(home: Home, traces: Traces) -> None:
    with state.writing(home.state) as connection:
        blank_tables(connection, "ops", HISTORY, traces)
    aside = home.root / "forgetting.duckdb"
    state.drop(aside)
    with state.connect(aside, read_only=False) as connection:
        with attached(connection, home.state, "source"):
            connection.execute(f'copy from database source to "{aside.stem}"')
        connection.execute("checkpoint")
    state.durable_rename(aside, home.state)


def _renew_lake(home: Home, order: Order, traces: Traces) -> None:
    """Write the lake's tables anew if they, or older snapshots, have the person; else only what its catalog has deleted goes."""
    if not any(search_lake(home.state, traces)):
        lake_renewal.vacuum(home.state)
        return
    lake_renewal.renew(
        home.state,
        lambda connection: blank_tables(connection, "ops", HISTORY, traces),
        lambda removed: _note(home, order, lake=asdict(removed)),
    )


# --- other files ---


def _clean(home: Home, order: Order, traces: Traces, report: Report) -> None:
    """Remove files that may hide the person in freed blocks, and blank the texts that name the person."""
    with state.lock_build(home, report):
        report("searching builds, logs and other files")
        for path in _to_remove(home):
            _note(home, order, removed=str(path.relative_to(home.root)))
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        with suppress(Transient), state.lock_aside(home, patience=0):
            for one in builds.made_aside(home):
                shutil.rmtree(one.folder, ignore_errors=True)
        if home.staging.is_dir():
            with locked(home.staging):
                for stray in bronze.strays(home.staging):
                    shutil.rmtree(stray, ignore_errors=True)
        for path, _ in search(_texts(home), traces):
            _note(home, order, blanked=traces.blank(str(path.relative_to(home.root))))
            blank_file(path, traces)


def _to_remove(home: Home) -> Iterator[Path]:
    """Yield databases of builds, files set aside as damaged, and what killed processes left of a database."""
    for folder in (home.builds, home.broken):
        for path in sorted(folder.rglob("*")):
            if ".duckdb" in path.name or (folder == home.broken and path.suffix == ".parquet"):
                yield path
    for path in (home.state, home.published, home.root / "forgetting.duckdb"):
        if spill_folder(path).exists():
            yield spill_folder(path)
    for left in (home.root / "repair", home.published.with_name(".next.duckdb")):
        if left.exists():
            yield left


def _texts(home: Home) -> Iterator[Path]:
    databases = {home.state, home.published, *publish.kept_states(home)}
    for path in _files(home):
        if path not in databases and home.bronze not in path.parents and forgotten.folder(home) not in path.parents:
            yield path


def _files(home: Home) -> Iterator[Path]:
    """Yield every file of the home that is not a source's. Folders of the home itself may be links: machines share some."""
    sources = _sources(home)
    linked = sorted(path for path in home.root.glob("*") if path.is_symlink() and path.is_dir() and path not in sources)
    for root in (home.root, *linked):
        for folder, names, files in os.walk(root):
            names[:] = sorted(name for name in names if Path(folder, name) not in sources)
            yield from (Path(folder, name) for name in sorted(files) if not Path(folder, name).is_symlink())


def _sources(home: Home) -> set[Path]:
    return {home.root / "landing", home.landing, home.shop}


def _search(home: Home, traces: Traces, spared: Iterable[Path] = ()) -> Iterator[Place]:
    """Search the home, without `spared`, and then the landing folder.

    What appears meanwhile is searched as well: a compaction moves records into a file that was not there, and removes theirs.
    If the state is in a lake, that is searched too.
    """
    searched: dict[Path, tuple[int, int]] = {}
    while new := {path: stamp for path, stamp in _stamps(home, set(spared)) if searched.get(path) != stamp}:
        searched |= new
        for path, where in search(new, traces):
            yield Place(traces.blank(str(path.relative_to(home.root))), where, is_source=False)
    if lake.is_lake(home.state):
        for place, where in search_lake(home.state, traces):
            yield Place(traces.blank(place), where, is_source=False)
    delivered = (path for path in sorted(home.landing.rglob("*")) if path.is_file())
    for path, where in search(delivered, traces):
        yield Place(traces.blank(str(path)), where, is_source=True)


def _stamps(home: Home, spared: Set[Path]) -> Iterator[tuple[Path, tuple[int, int]]]:
    """Yield the files to search, each with what changes if it is replaced."""
    for path in _files(home):
        if path not in spared:
            with suppress(FileNotFoundError):
                found = path.stat()
                if stat.S_ISREG(found.st_mode):
                    yield path, (found.st_ino, found.st_size)


# --- the receipt ---


def _finish(home: Home, order: Order, places: tuple[Place, ...]) -> Outcome:
    """Write the receipt, and then delete the order."""
    notes = _notes(home, order)
    people = forgotten.read_people(home)
    batches = _batches(home, order)
    counted: dict[tuple[str, str], list[int]] = {}
    for note in batches:
        # a batch of another order, which was stopped between its two renames, has no count here
        for becomes, number in note.get("records", {}).items():
            if number:
                counted.setdefault((note["dataset"], becomes), []).append(number)
    found = tuple(Found(*key, sum(numbers), len(numbers)) for key, numbers in sorted(counted.items()))
    after = {path.name if path == home.state else "published": path for path in (home.state, home.published)}
    body = {
        "receipt": order.receipt,
        "column": order.column,
        "id_sha256": people.hash(order.column, order.value),
        "reason": order.reason,
        "forgotten_by": order.forgotten_by,
        "forgotten_at": order.forgotten_at,
        "records": [asdict(one) for one in found],
        "batches": batches,
        "databases": [
            {"name": name, "sha256_before": order.before.get(name), "sha256_after": _checksum(path)}
            for name, path in after.items()
            if path.exists()
        ],
        **({"lake": _removed_of_lake(notes)} if lake.is_lake(home.state) else {}),
        "removed": sorted({note["removed"] for note in notes if "removed" in note}),
        "blanked": sorted({note["blanked"] for note in notes if "blanked" in note}),
        "still_in_sources": sorted(one.path for one in places),
    }
    file = forgotten.folder(home) / f"{order.receipt}.json"
    forgotten.write_private(file, json.dumps(body, indent=1) + "\n")
    for path in _of_order(home, order.receipt):
        path.unlink(missing_ok=True)
    return Outcome(order.receipt, found, places, file)


def _removed_of_lake(notes: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    of_lake = [note["lake"] for note in notes if "lake" in note]
    return {name: sorted({one for note in of_lake for one in note[name]}) for name in ("snapshots", "files")}


def _checksum(path: Path) -> str:
    """Return the checksum of a file; of the file that names a lake, that of the names of its files, which are never used again."""
    if lake.is_lake(path):
        with state.connect(path) as connection:
            return hashlib.sha256("\n".join(lake.files(connection, path)).encode()).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
