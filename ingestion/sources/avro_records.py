"""Read an Avro object container file as records of texts, from which the value in the file can be read back.

| in the file | text |
|---|---|
| null, boolean, int, long, enum, string | none, `true`, `7`, the symbol, the text |
| float, double | the shortest that reads back, without an exponent: `0.1`, `3`, `10000000000000000000000` |
| decimal | all its decimals: `12.3400` |
| date, time, uuid | `2026-11-01`, `09:00:00.123`, 36 characters |
| timestamp in milli-, micro- or nanoseconds | ISO, with 3, 6 or 9 decimals and a Z; a local one without the Z |
| record, array, map | JSON, with the names of an object in order |
| bytes, fixed | the text that they are in UTF-8 |
| union | the text of its value; of a record among several, `{"its name": {…}}` |

A row with bytes that are not UTF-8 is refused. It becomes JSON, with these bytes in hexadecimal digits.

fastavro decodes the records. Blocks are read here, one after the other, because its own reader passes over bytes that a block has
left after its records, and over the checksum of snappy: records would be lost or changed without a word.
"""

import bz2
import io
import json
import lzma
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import fastavro
import numpy as np
import pyarrow as pa
from fastavro.read import LOGICAL_READERS
from fastavro.schema import SchemaParseException

from ingestion.errors import Permanent, Transient
from ingestion.sources.csv_records import Record, Table
from ingestion.sources.lines import inflated
from ingestion.sources.parquet_records import bytes_of, check_names, refused, without_exponent

_MAGIC = b"Obj\x01"
_META = fastavro.parse_schema({"type": "map", "values": "bytes"})
_LONG = fastavro.parse_schema({"type": "long"})
_SYNC_BYTES = 16
# Of one block, inflated. Writers make blocks of some kilobytes to some megabytes.
_BLOCK_BYTES = 256 << 20
# The most records of a block that take no byte each.
_EMPTY_RECORDS = 1 << 20
# What libraries raise over bytes that are not what they should be.
_ERRORS = (
    *(ValueError, LookupError, TypeError, ArithmeticError, AttributeError, EOFError, OSError, RecursionError),
    *(zlib.error, lzma.LZMAError, pa.ArrowException, SchemaParseException),
)
# What fastavro raises where the bytes end too early: the second one within a number.
_ENDED = (EOFError, IndexError)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_NAT = -(1 << 63)
_OURS = "clearwell-"


def is_avro(body: bytes, place: str) -> bool:
    """Say whether a file is an Avro object container file, by its first bytes or its name."""
    return body.startswith(_MAGIC) or place.lower().endswith(".avro")


def read(body: bytes, where: str) -> Table:
    """Read the columns at once and the records lazily, block by block. A damaged file is Permanent; one that is cut, Transient.

    Nothing in a file says that its last block is the last: the table counts as one whose end may be missing.
    """
    stream = io.BytesIO(body)
    if not body.startswith(_MAGIC[: len(body)]):
        raise _damaged("it does not begin as one", where)
    try:
        if stream.read(len(_MAGIC)) != _MAGIC:
            raise EOFError
        meta: Any = fastavro.schemaless_reader(stream, _META, None)
        sync = _exactly(stream, _SYNC_BYTES)
    except _ENDED:
        raise _cut(where) from None
    except _ERRORS as error:
        raise _damaged(f"its header cannot be read: {_said(error)}", where) from None
    codec = meta.get("avro.codec", b"null").decode("utf-8", "replace")
    if codec not in _CODECS:
        raise Permanent(
            f"the Avro file is compressed by {codec!r}, which is not read",
            where=where,
            todo=f"deliver it compressed by one of: {', '.join(_CODECS)}",
        )
    try:
        schema: Any = fastavro.parse_schema(_with_texts(json.loads(meta["avro.schema"])))
        columns = tuple(field["name"] for field in schema["fields"]) if schema["type"] == "record" else None
    except _ERRORS as error:
        raise _damaged(f"its schema cannot be read: {_said(error)}", where) from None
    if columns is None:
        raise Permanent("the Avro file holds no records", where=where, todo="deliver a file whose schema is a record")
    check_names(columns, where)
    return Table(columns, _records(stream, len(body), schema, columns, _CODECS[codec], sync, where), is_cut=True)


def _records(
    stream: io.BytesIO,
    end: int,
    schema: Any,
    columns: tuple[str, ...],
    inflate: Callable[[bytes], bytes],
    sync: bytes,
    where: str,
) -> Iterator[Record]:
    number = 0
    while stream.tell() < end:
        place = stream.tell()
        try:
            count, size = (fastavro.schemaless_reader(stream, _LONG, None) for _ in range(2))
            stored = _exactly(stream, size)  # type: ignore[arg-type]
            after = _exactly(stream, _SYNC_BYTES)
        except _ENDED:
            raise _cut(where) from None
        except _ERRORS as error:
            raise _damaged(f"the block at byte {place:,} cannot be read: {_said(error)}", where) from None
        try:
            if after != sync:
                raise ValueError("its end is not the mark that the header names")
            for fields, told in _block(inflate(stored), count, schema, columns):  # type: ignore[arg-type]
                number += 1
                yield refused(number, columns, fields, told) if told else Record(number, b"", fields)
        except _ERRORS as error:
            raise _damaged(f"the block at byte {place:,} cannot be read: {_said(error)}", where) from None


def _block(
    block: bytes, count: int, schema: Any, columns: tuple[str, ...]
) -> Iterator[tuple[tuple[str | None, ...], dict[str, str]]]:
    """Yield the texts of a block's records, each with the bytes of those that are none. Every byte belongs to a record."""
    if not 0 <= count <= len(block) + _EMPTY_RECORDS:
        raise ValueError(f"it says that it has {count:,} records")
    stream = io.BytesIO(block)
    for _ in range(count):
        row: Any = fastavro.schemaless_reader(
            stream,
            schema,
            None,
            handle_unicode_errors="surrogateescape",
            return_record_name=True,
            return_record_name_override=True,
        )
        told: dict[str, str] = {}
        fields = []
        for name in columns:
            value = row[name]
            text = value if type(value) is str else _TEXTS[type(value)](value)
            if isinstance(text, str) and not text.isascii() and not _is_text(text):
                told[bytes_of(name)], text = text.encode("utf-8", "surrogateescape").hex(), None
            elif isinstance(text, bytes):
                told[bytes_of(name)], text = text.hex(), None
            fields.append(text)
        yield tuple(fields), told
    if stream.tell() != len(block):
        raise ValueError(f"{len(block) - stream.tell():,} bytes are left after its {count:,} records")


def _exactly(stream: io.BytesIO, size: int) -> bytes:
    if size < 0:
        raise ValueError(f"it says that it has {size:,} bytes")
    found = stream.read(size)
    if len(found) < size:
        raise EOFError
    return found


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text_of_bytes(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _text_of_float(value: float) -> str:
    text = repr(value)
    return without_exponent(text) if "e" in text else text.removesuffix(".0")


def _text_of_nested(value: Any) -> str:
    return json.dumps(_plain(value), ensure_ascii=False, sort_keys=True)


_TEXTS: Mapping[type, Callable[[Any], str | bytes | None]] = {
    type(None): lambda _value: None,
    bool: lambda value: "true" if value else "false",
    int: str,
    float: _text_of_float,
    str: str,
    bytes: _text_of_bytes,
    **dict.fromkeys((dict, list, tuple), _text_of_nested),
}


def _plain(value: Any) -> Any:
    """Return a nested value in JSON's own types, as of Parquet: bytes in hexadecimal digits, what is no number as text."""
    if isinstance(value, tuple):
        name, record = value
        return {name: _plain(record)}
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


# Schemas


def _with_texts(schema: Any) -> Any:
    """Return a schema that decodes to the texts above: logical types are replaced by ours, and what is not needed is left out."""
    if isinstance(schema, list):
        return [_with_texts(one) for one in schema]
    if not isinstance(schema, dict):
        return {"type": schema, "logicalType": f"{_OURS}float"} if schema == "float" else schema
    kind = schema["type"]
    found = {name: schema[name] for name in ("name", "namespace", "size", "symbols") if name in schema}
    if kind in ("record", "error"):
        fields = [{"name": one["name"], "type": _with_texts(one["type"])} for one in schema["fields"]]
        return {**found, "type": "record", "fields": fields}
    if kind == "array":
        return {"type": kind, "items": _with_texts(schema["items"])}
    if kind == "map":
        return {"type": kind, "values": _with_texts(schema["values"])}
    if not isinstance(kind, str):
        return _with_texts(kind)
    ours = _ours(schema, kind)
    return {**found, "type": kind, **ours} if ours or found else _with_texts(kind)


def _ours(schema: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return our logical type in place of a schema's own. One that is unknown, or does not fit, counts for nothing."""
    logical = schema.get("logicalType")
    if logical == "decimal" and kind in ("bytes", "fixed"):
        scale = schema.get("scale", 0)
        is_scale = type(scale) is int and 0 <= scale <= schema.get("precision", 0)
        return {"logicalType": f"{_OURS}decimal", "clearwell_scale": scale} if is_scale else {}
    if (logical, kind, schema.get("size")) in (("uuid", "fixed", 16), ("duration", "fixed", 12)):
        return {"logicalType": f"{_OURS}{logical}"}
    return {"logicalType": f"{_OURS}{logical}"} if f"{kind}-{_OURS}{logical}" in _READERS else {}


def _decimal(value: bytes, schema: Mapping[str, Any]) -> str:
    unscaled = int.from_bytes(value, "big", signed=True)
    digits = tuple(map(int, str(abs(unscaled))))
    # Made of its digits, a decimal is exact whatever their number.
    return f"{Decimal((int(unscaled < 0), digits, -schema['clearwell_scale'])):f}"


def _moment(unit: str, end: str) -> Callable[[int, Any], str]:
    """Return how a count of units since 1970 is written. The one that NumPy takes for no time stays a number."""
    kind = f"datetime64[{unit}]"
    return lambda value, _schema: str(value) if value == _NAT else f"{np.int64(value).astype(kind)}{end}"


def _date(value: int, _schema: Any) -> str:
    try:
        return date.fromordinal(value + _EPOCH_DAY).isoformat()
    except (ValueError, OverflowError):
        return str(np.datetime64(value, "D"))


def _time(units: int, digits: int) -> Callable[[int, Any], str]:
    """Return how a count of units since midnight is written. One that is no time of a day stays a number."""

    def text(value: int, _schema: Any) -> str:
        if not 0 <= value < 86_400 * units:
            return str(value)
        seconds, part = divmod(value, units)
        return f"{time(seconds // 3600, seconds // 60 % 60, seconds % 60)}.{part:0{digits}d}"

    return text


def _duration(value: bytes, _schema: Any) -> str:
    months, days, milliseconds = (int.from_bytes(value[start : start + 4], "little") for start in (0, 4, 8))
    return f"P{months}M{days}DT{milliseconds // 1000}.{milliseconds % 1000:03d}S"


def _for_fastavro(read: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Any], Any]:
    return lambda value, schema, _reader_schema: read(value, schema)


_READERS: Mapping[str, Callable[[Any, Any], Any]] = {
    f"float-{_OURS}float": lambda value, _schema: float(str(np.float32(value))),
    f"bytes-{_OURS}decimal": _decimal,
    f"fixed-{_OURS}decimal": _decimal,
    f"fixed-{_OURS}uuid": lambda value, _schema: str(UUID(bytes=value)),
    f"fixed-{_OURS}duration": _duration,
    f"int-{_OURS}date": _date,
    f"int-{_OURS}time-millis": _time(1_000, 3),
    f"long-{_OURS}time-micros": _time(1_000_000, 6),
    **{
        f"long-{_OURS}{local}timestamp-{name}": _moment(unit, "" if local else "Z")
        for local in ("", "local-")
        for name, unit in (("millis", "ms"), ("micros", "us"), ("nanos", "ns"))
    },
}
# fastavro's way of adding logical types: by a name that nobody else has.
LOGICAL_READERS.update({name: _for_fastavro(reader) for name, reader in _READERS.items()})


# Codecs


def _bounded(found: bytes) -> bytes:
    if len(found) > _BLOCK_BYTES:
        raise ValueError(f"it inflates to more than {_BLOCK_BYTES >> 20} MiB")
    return found


def _ended(stream: Any, stored: bytes, over: int = 0) -> bytes:
    """Inflate a block whose compressed data ends where the block does, but for some bytes over."""
    found = _bounded(stream.decompress(stored, _BLOCK_BYTES + 1))
    if not stream.eof or len(stream.unused_data) > over:
        raise ValueError("its compressed data does not end where the block does")
    return found


def _snappy(stored: bytes) -> bytes:
    """Inflate a block of snappy, which ends with a checksum of what it inflates to."""
    data, checksum = stored[:-4], int.from_bytes(stored[-4:], "big")
    size, shift = 0, 0
    for byte in data[:5]:
        size |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    if size > _BLOCK_BYTES:
        raise ValueError(f"it inflates to more than {_BLOCK_BYTES >> 20} MiB")
    found = pa.Codec("snappy").decompress(data, decompressed_size=size, asbytes=True)
    if zlib.crc32(found) != checksum:
        raise ValueError("its checksum differs")
    return found


_CODECS: Mapping[str, Callable[[bytes], bytes]] = {
    "null": lambda stored: stored,
    # Some writers leave a part of zlib's checksum at the end.
    "deflate": lambda stored: _ended(zlib.decompressobj(-15), stored, over=4),
    "snappy": _snappy,
    "zstandard": lambda stored: _bounded(inflated(io.BytesIO(stored), "zstd").read(_BLOCK_BYTES + 1)),
    "bzip2": lambda stored: _ended(bz2.BZ2Decompressor(), stored),
    "xz": lambda stored: _ended(lzma.LZMADecompressor(), stored),
}


# Errors


def _said(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _cut(where: str) -> Transient:
    return Transient(
        "the Avro file is cut: the end of a block is missing", where=where, todo="try again when it is delivered whole"
    )


def _damaged(why: str, where: str) -> Permanent:
    return Permanent(f"the file is no Avro that can be read: {why}", where=where, todo="deliver it again")
