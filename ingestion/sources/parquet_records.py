"""Read a Parquet file as records of texts, from which the value in the file can be read back.

| in the file | text |
|---|---|
| decimal, integer, date, boolean | as it is: `12.3400`, `7`, `2026-11-01`, `true` |
| float | the shortest that reads back, without an exponent: `0.1`, `3`, `10000000000000000000000` |
| timestamp | ISO, with a Z if the file says its time zone, else as it is |
| list, struct, map | JSON |
| bytes | the text that they are in UTF-8 |

A row with bytes that are not UTF-8 is refused. It becomes JSON, with these bytes in hexadecimal digits.
"""

import json
import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingestion.errors import Permanent, Transient
from ingestion.sources.csv_records import INVALID_UTF8, Record, Table

_MAGIC, _ENCRYPTED = b"PAR1", b"PARE"
# The bytes of two magics and a length.
_SMALLEST = 12
_BATCH_ROWS = 1 << 14
_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError)
_Texts = list[str | None]


def is_parquet(body: bytes, place: str) -> bool:
    """Say whether a file is Parquet, by its first bytes or its name."""
    return body.startswith((_MAGIC, _ENCRYPTED)) or place.lower().endswith(".parquet")


def read(body: bytes | pa.NativeFile, where: str) -> Table:
    """Read the columns at once and the records lazily. An encrypted or damaged file is Permanent; one that is cut, Transient.

    Of an open file, only its end and what the records need is read.
    """
    stored = pa.BufferReader(body) if isinstance(body, bytes) else body
    size = stored.size()
    first, last = stored.read_at(4, 0), stored.read_at(4, max(size - 4, 0))
    if _ENCRYPTED in (first, last):
        raise _encrypted(where)
    if first in (b"", _MAGIC) and (size < _SMALLEST or last != _MAGIC):
        raise Transient(
            "the Parquet file is cut: its end is missing", where=where, todo="try again when it is delivered whole"
        )
    try:
        file = pq.ParquetFile(stored, page_checksum_verification=True)
    except _ERRORS as error:
        raise _damaged(error, where) from None
    columns = tuple(file.schema_arrow.names)
    check_names(columns, where)
    return Table(columns, _records(file, columns, where))


def check_names(columns: tuple[str, ...], where: str) -> None:
    """Refuse a file whose columns do not have a name each."""
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice or not columns or "" in columns:
        what = f"names {twice[0]} twice" if twice else "has a column without a name" if columns else "is empty"
        raise Permanent(f"the header {what}", where=where, todo="deliver the file with a name for each column")


def refused(number: int, columns: tuple[str, ...], fields: tuple[str | None, ...], told: dict[str, str]) -> Record:
    """Return a record with bytes that are no text: as JSON, in which `told` has these bytes."""
    raw = json.dumps({**dict(zip(columns, fields, strict=True)), **told}, ensure_ascii=False)
    return Record(number, raw.encode(), fields, INVALID_UTF8, raw)


def _records(file: pq.ParquetFile, columns: tuple[str, ...], where: str) -> Iterator[Record]:
    number = 0
    try:
        # one row group after the other: asked for all at once, Arrow reads all of the file first
        groups = (file.iter_batches(_BATCH_ROWS, [group]) for group in range(file.num_row_groups))
        for batch in chain.from_iterable(groups):
            bad: dict[int, dict[str, str]] = {}
            texts = [_texts(column, name, bad) for name, column in zip(columns, batch.columns, strict=True)]
            for place, fields in enumerate(zip(*texts, strict=True)):
                number += 1
                if place in bad:
                    yield refused(number, columns, fields, bad[place])
                else:
                    yield Record(number, b"", fields)
    except _ERRORS as error:
        raise _damaged(error, where) from None
    if number != file.metadata.num_rows:
        raise Permanent(
            f"the file has {file.metadata.num_rows:,} rows, but {number:,} were read",
            where=where,
            todo="deliver it again; if it fails again, report it as a bug in Clearwell",
        )


def _texts(values: pa.Array, name: str, bad: dict[int, dict[str, str]]) -> _Texts:
    """Return the values of a column as texts; those that have none go to `bad`, by their rows."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    kind = values.type
    if isinstance(kind, pa.BaseExtensionType):
        return [None if value is None else str(value) for value in values.to_pylist()]
    if any(is_it(kind) for is_it in _BYTES):
        return _decoded(values.cast(pa.large_binary()), name, bad)
    if pa.types.is_nested(kind):
        return [json.dumps(_plain(value), ensure_ascii=False) if value.is_valid else None for value in values]
    if pa.types.is_float16(kind):
        values = values.cast(pa.float32())
    if pa.types.is_timestamp(kind):
        if kind.tz:
            values = values.cast(pa.timestamp(kind.unit, "UTC"))
        return [text and text.replace(" ", "T", 1) for text in _cast(values)]
    if pa.types.is_duration(kind):
        return _cast(values.cast(pa.int64()))
    if pa.types.is_interval(kind):
        return [None if value is None else str(value) for value in values.to_pylist()]
    texts = _cast(values)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return [without_exponent(text) if text and ("e" in text or "E" in text) else text for text in texts]
    return texts


_BYTES: tuple[Callable[[pa.DataType], bool], ...] = (
    *(pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    *(pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary),
)


def _cast(values: pa.Array) -> _Texts:
    texts: _Texts = pc.cast(values, pa.large_string()).to_pylist()
    return texts


def _decoded(values: pa.Array, name: str, bad: dict[int, dict[str, str]]) -> _Texts:
    """Decode a column of bytes. Parquet's texts are not checked by those who write them either."""
    try:
        return _cast(values)
    except pa.ArrowInvalid:
        texts: _Texts = []
        for place, value in enumerate(values.to_pylist()):
            try:
                texts.append(None if value is None else value.decode())
            except UnicodeDecodeError:
                texts.append(None)
                bad.setdefault(place, {})[bytes_of(name)] = value.hex()
        return texts


def bytes_of(name: str) -> str:
    """Name the bytes of a column in the JSON of a refused record."""
    return f"bytes of {name}"


def without_exponent(text: str) -> str:
    """Write the digits of a number with an exponent, and of an infinite one its name."""
    return f"{Decimal(text):f}" if text[-1].isdigit() else text


def _plain(value: Any) -> Any:
    """Return a nested value in JSON's own types. A map becomes an object, or pairs if its keys are no texts or repeat."""
    if not value.is_valid:
        return None
    if isinstance(value, pa.MapScalar):
        pairs = [(_plain(one["key"]), _plain(one["value"])) for one in value.values]
        keys = [key for key, _ in pairs if isinstance(key, str)]
        return dict(pairs) if len(set(keys)) == len(pairs) else pairs
    if isinstance(value, pa.StructScalar):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, pa.ListScalar):
        return [_plain(one) for one in value.values]
    found = value.as_py()
    if isinstance(found, bytes):
        return found.hex()
    if isinstance(found, float):
        return found if math.isfinite(found) else str(found)
    return found if found is None or isinstance(found, str | int) else _text_of(value)


def _text_of(value: pa.Scalar) -> str | None:
    """Return the text of a value that JSON has no type for, as in a column of its own."""
    return _texts(pa.array([value], value.type), "", {})[0]


def _encrypted(where: str) -> Permanent:
    return Permanent("the Parquet file is encrypted", where=where, todo="deliver it without encryption")


def _damaged(error: Exception, where: str) -> Permanent:
    if "crypt" in str(error).lower():
        return _encrypted(where)
    # The first line says it; what follows is Arrow's own.
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    return Permanent(f"the file is no Parquet that can be read: {said}", where=where, todo="deliver it again")
