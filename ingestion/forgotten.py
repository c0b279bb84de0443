"""People who were forgotten: the mark in place of their records in bronze, and what keeps them out when a source still has them.

`forgotten/people.json` in the home lists their ids as salted hashes. A landing compares the ids that it stages with them, so that
a window that lands again does not bring a person back. Without the file nobody is known, and nothing is compared.
"""

import json
import os
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ingestion import bronze
from ingestion.contract import Contract, read_contracts
from ingestion.home import Home
from ingestion.locks import hold, share
from ingestion.manifest import Manifest
from ingestion.names import BAD_ROW, RECORD_NO, text_in_raw
from ingestion.parquet import rewrite
from ingestion.sql import identifier, literal

# The text that stands for a record begins so; the receipt's id follows. The macro `forgotten_mark` has it too.
MARK = '"forgotten: receipt '
REASON = "forgotten"
# The end of the name of a file that says what is still to be forgotten, after its receipt.
ORDER = ".order.json"
# The text in place of a person's value within the record of somebody else.
BLANK = "[forgotten]"
_BAD_ROW = pa.struct(
    [
        *((name, pa.string()) for name in ("reason", "raw")),
        ("raw_bytes", pa.binary()),
        ("file", pa.string()),
        ("line_number", pa.int64()),
    ]
)
# The next manifest of a batch whose files are being replaced, and the end of the names of its next files.
_NEXT, _PART = "manifest.json.next", ".next"


@dataclass(frozen=True)
class Changes:
    """What to change in a batch's records, by number: `whole` ones become a mark, `personal` ones lose the personal columns.

    In the `texts` ones, what the patterns match becomes BLANK.
    """

    receipt: str
    whole: frozenset[int] = frozenset()
    personal: frozenset[int] = frozenset()
    texts: frozenset[int] = frozenset()
    patterns: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.whole or self.personal or self.texts)


@dataclass(frozen=True)
class People:
    """The forgotten people: each id's column and salted hash, with the receipt under which its records are kept out."""

    salt: str = ""
    receipts: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def hash(self, column: str, value: str) -> str:
        """Hash an id, so that it can be recognised and not read."""
        return sha256(f"{self.salt}{column}:{value}".encode()).hexdigest()


def folder(home: Home) -> Path:
    """Return the folder of the list and of the receipts."""
    return home.root / "forgotten"


def read_people(home: Home) -> People:
    """Read the list; an empty one if nobody was forgotten."""
    try:
        body = json.loads(_list(home).read_text())
    except FileNotFoundError:
        return People()
    receipts: dict[tuple[str, str], str] = {}
    for one in body["people"]:
        for column, hashes in one["hashes"].items():
            for found in hashes:
                receipts.setdefault((column, found), one["receipt"])
    return People(body["salt"], receipts)


def salted(home: Home) -> People:
    """Read the list, after making one with a salt if there is none. The salt is chance, so that nobody can guess an id by its hash."""
    if not _list(home).exists():
        write_private(_list(home), json.dumps({"salt": secrets.token_hex(32), "people": []}))
    return read_people(home)


def add_person(home: Home, receipt: str, ids: Mapping[str, Iterable[str]], report: Callable[[str], None]) -> None:
    """Keep a person out of later landings, known by these ids by column. Does nothing if the receipt is listed.

    Batches that were compared with the list before are in bronze when this returns.
    """
    with hold(_lock(home), "lists a person to be forgotten", report):
        people = salted(home)
        body = json.loads(_list(home).read_text())
        if receipt not in (one["receipt"] for one in body["people"]):
            hashes = {column: sorted(people.hash(column, value) for value in values) for column, values in ids.items()}
            body["people"].append({"receipt": receipt, "hashes": hashes})
            write_private(_list(home), json.dumps(body, indent=1))


def list_stays(home: Home) -> AbstractContextManager[None]:
    """Let nobody be added to the list between the comparison of a batch with it and its commit: it would be in no search."""
    return share(_lock(home), lambda _: None)


def _lock(home: Home) -> Path:
    # beside the list: machines that share the list by a link share the lock
    return folder(home).resolve().parent / "people.lock"


def orders(home: Home) -> list[str]:
    """List the receipts of people who are not forgotten whole yet."""
    return sorted(path.name.removesuffix(ORDER) for path in folder(home).glob(f"*{ORDER}"))


def write_private(path: Path, text: str) -> None:
    """Replace a file that only its owner may read, durably."""
    bronze.make_durable_folder(path.parent, path.parent.parent)
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    bronze.force_to_disk(part)
    part.replace(path)
    bronze.force_to_disk(path.parent)


def _list(home: Home) -> Path:
    return folder(home) / "people.json"


# --- records ---


def keeps_rest(contract: Contract, column: str) -> bool:
    """Say whether a record is valid without the person: a row whose personal columns may all be missing, such as an order.

    Such a record loses the personal columns, and stays. Any other is replaced by the mark as a whole.
    """
    of_person = [one for one in contract.columns if one.personal or one.name == column]
    return contract.format == "rows" and not any(one.required or one.name in contract.key for one in of_person)


def id_text(contract: Contract, manifest: Manifest, column: str) -> str:
    """Return SQL for the text of a column in a batch's Parquet; empty if the batch does not have it."""
    if not contract.column(column):
        return ""
    if contract.format == "json_lines":
        return f"case when json_valid(raw) then {text_in_raw(contract.at_source(column))} end"
    name = physical(contract, manifest, column)
    return identifier(name) if name else ""


def physical(contract: Contract, manifest: Manifest, column: str) -> str:
    """Return what a batch of rows calls a column of the contract; empty if it does not have it."""
    found = contract.in_source([column], manifest.columns).get(column, "")
    return manifest.renamed.get(found, found)


def keep_out(home: Home, folder: Path, manifest: Manifest) -> Manifest:
    """Mark the records of forgotten people in a staged batch; return its manifest. The id of the batch is that of its content before."""
    people = read_people(home)
    contract = read_contracts().get(manifest.dataset) if people.receipts else None
    if not contract or not manifest.files:
        return manifest
    columns = {column for column, _ in people.receipts}
    texts = {column: text for column in sorted(columns) if (text := _id_texts(contract, manifest, column))}
    files = {file.name: file for file in manifest.files}
    for name in files if texts else ():
        for column, text in texts.items():
            for receipt, numbers in _forgotten(folder / name, column, text, people).items():
                chosen = frozenset(numbers)
                changes = (
                    Changes(receipt, personal=chosen)
                    if keeps_rest(contract, column)
                    else Changes(receipt, whole=chosen)
                )
                target = folder / f"{name}{_PART}"
                rewrite(folder / name, target, partial(change, contract, manifest, changes))
                target.replace(folder / name)
        files[name] = bronze.describe(folder / name)
    return replace(manifest, files=tuple(files.values()))


def _id_texts(contract: Contract, manifest: Manifest, column: str) -> str:
    """Return SQL for the list of texts that may be a record's id: of a line that is no JSON, whatever stands behind the column's name."""
    text = id_text(contract, manifest, column)
    if not text or contract.format == "rows":
        return text and f"[{text}]"
    names = "|".join(re.escape(name.rpartition(".")[2]) for name in contract.at_source(column))
    pattern = f'"(?:{names})"\\s*:\\s*"?([^",}}\\s]+)'.replace("'", "''")
    behind = f"regexp_extract_all(coalesce(raw, raw_bytes::varchar), '{pattern}', 1)"
    return f"case when json_valid(raw) then [{text}] else {behind} end"


def _forgotten(path: Path, column: str, text: str, people: People) -> dict[str, list[int]]:
    """Return the numbers of the records of forgotten people in a file, by receipt."""
    known = {found: receipt for (of, found), receipt in people.receipts.items() if of == column}
    query = f"""
        with texts as (select {RECORD_NO}, unnest({text}) as value from read_parquet({literal(path)})),
        hashed as (select value, sha256($1 || value) as hash from (select distinct value from texts where value is not null))
        select hash, {RECORD_NO} from texts inner join hashed using (value) where list_contains($2, hash) order by all
    """
    found: dict[str, list[int]] = {}
    with duckdb.connect() as connection:
        for one, number in connection.execute(query, [f"{people.salt}{column}:", sorted(known)]).fetchall():
            found.setdefault(known[one], []).append(number)
    return found


def change(contract: Contract, manifest: Manifest, changes: Changes, table: pa.Table) -> pa.Table:
    """Return the records with the changes made; their number, order and record numbers stay."""
    numbers = table[RECORD_NO]
    if changes.texts:
        chosen = pc.is_in(numbers, pa.array(sorted(changes.texts), pa.int64()))
        for place, column in enumerate(table.schema):
            if pa.types.is_string(column.type) and column.name != "file":
                blanked = table[column.name]
                for pattern in changes.patterns * 2:  # two values may share the character between them
                    blanked = pc.replace_substring_regex(blanked, pattern, rf"\1{BLANK}\2")
                table = table.set_column(place, column, pc.if_else(chosen, blanked, table[column.name]))
    if changes.personal:
        chosen = pc.is_in(numbers, pa.array(sorted(changes.personal), pa.int64()))
        names = {physical(contract, manifest, one.name) for one in contract.columns if one.personal}
        table = _emptied(table, chosen, [name for name in table.schema.names if name in names])
    if changes.whole:
        chosen = pc.is_in(numbers, pa.array(sorted(changes.whole), pa.int64()))
        mark = f'{MARK}{changes.receipt}"'
        if contract.format == "json_lines":
            table = _emptied(table, chosen, ["raw_bytes"])
            raw = pc.if_else(chosen, pa.scalar(f"{mark}\n"), table["raw"])
            table = table.set_column(table.schema.get_field_index("raw"), table.schema.field("raw"), raw)
        else:
            table = _emptied(table, chosen, [name for name in table.schema.names if name not in (RECORD_NO, BAD_ROW)])
            row = {"reason": REASON, "raw": mark, "raw_bytes": None, "file": None, "line_number": None}
            if BAD_ROW not in table.schema.names:
                table = table.append_column(pa.field(BAD_ROW, _BAD_ROW), pa.nulls(len(table), _BAD_ROW))
            place = table.schema.get_field_index(BAD_ROW)
            kind = table.schema.field(place)
            marked = pc.if_else(chosen, pa.scalar(row, kind.type), table[BAD_ROW])
            table = table.set_column(place, kind, marked)
    return table


def _emptied(table: pa.Table, chosen: pa.ChunkedArray, names: Iterable[str]) -> pa.Table:
    for name in names:
        place = table.schema.get_field_index(name)
        kind = table.schema.field(place)
        table = table.set_column(place, kind, pc.if_else(chosen, pa.scalar(None, kind.type), table[name]))
    return table


# --- batches ---


def prepare(home: Home, contract: Contract, manifest: Manifest, found: Mapping[str, Changes]) -> Manifest:
    """Write the next files of a batch, and then its next manifest, beside the present ones, which stay. Return the next manifest."""
    there = bronze.batch_folder(home, bronze.reference(manifest))
    files = []
    for file in manifest.files:
        if changes := found.get(file.name):
            target = there / f"{file.name}{_PART}"
            rewrite(there / file.name, target, partial(change, contract, manifest, changes))
            bronze.force_to_disk(target)
            files.append(replace(bronze.describe(target), name=file.name))
        else:
            files.append(file)
    following = replace(manifest, files=tuple(files))
    part = there / f"{_NEXT}.part"
    part.write_text(following.to_json(), encoding="utf-8")
    bronze.force_to_disk(part)
    part.replace(there / _NEXT)
    bronze.force_to_disk(there)
    return following


def promised(there: Path) -> Manifest | None:
    """Read the next manifest of a batch's folder; None if its next files are not all written."""
    path = there / _NEXT
    return Manifest.from_json(path.read_text(encoding="utf-8"), where=str(path)) if path.exists() else None


def put_in_place(there: Path) -> None:
    """Rename the next files of a batch's folder into place, and then its manifest; goes on where a killed process stopped."""
    if not (there / _NEXT).exists():
        for stray in (*there.glob(f"*.parquet{_PART}"), *there.glob(f"{_NEXT}.part")):
            stray.unlink()  # written before a kill, and never promised
        return
    for path in sorted(there.glob(f"*.parquet{_PART}")):
        path.replace(path.with_name(path.name.removesuffix(_PART)))
    bronze.force_to_disk(there)
    (there / _NEXT).replace(there / bronze.MANIFEST)
    bronze.force_to_disk(there)


def unfinished(home: Home) -> list[Path]:
    """List the folders of batches whose files a killed process left to be replaced."""
    return sorted({path.parent for path in home.bronze.glob("*/*/*/*.next*")})
