"""Avro: each value becomes a text that the contract's parser reads, and no part of a damaged file lands."""

import bz2
import json
import lzma
import math
import struct
import uuid
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any

import fastavro
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from ingestion.errors import ClearwellError, Permanent, Transient
from ingestion.sources import avro_records
from ingestion.sources.avro_records import is_avro, read
from tests.unit.ingestion.sources.test_parquet_records import parsed

SYNC = b"0123456789abcdef"
META = {"type": "map", "values": "bytes"}


def encoded(value: Any, schema: Any) -> bytes:
    file = BytesIO()
    fastavro.schemaless_writer(file, schema, value)
    return file.getvalue()


def record_of(kind: Any) -> dict[str, Any]:
    return {"type": "record", "name": "row", "fields": [{"name": "x", "type": kind}]}


def snappy(body: bytes) -> bytes:
    return pa.compress(body, "snappy", asbytes=True) + zlib.crc32(body).to_bytes(4, "big")


def deflate(body: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(body) + stream.flush()


CODECS: dict[str, Callable[[bytes], bytes]] = {
    "null": bytes,
    "deflate": deflate,
    "snappy": snappy,
    "zstandard": zstandard.ZstdCompressor().compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


def framed(schema: Any, blocks: list[tuple[int, bytes]], codec: str = "null", sync: bytes = SYNC) -> bytes:
    """Write a container as the specification says, from blocks of a number of records and their bytes as they are stored."""
    body = b"Obj\x01" + encoded({"avro.schema": json.dumps(schema).encode(), "avro.codec": codec.encode()}, META) + SYNC
    for count, stored in blocks:
        body += encoded(count, "long") + encoded(stored, "bytes") + sync
    return body


def container(schema: Any, rows: list[Any], codec: str = "null", per_block: int = 3) -> bytes:
    parts = [rows[start : start + per_block] for start in range(0, len(rows), per_block)]
    blocks = [(len(part), CODECS[codec](b"".join(encoded(row, schema) for row in part))) for part in parts]
    return framed(schema, blocks, codec)


def texts(values: list[Any], kind: Any) -> list[str | None]:
    found = list(read(container(record_of(kind), [{"x": one} for one in values]), "x.avro").records)
    assert [one.line for one in found] == list(range(1, len(values) + 1))
    assert all(one.reason is None for one in found)
    return [one.fields[0] for one in found]


def logical(kind: str, meant: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": meant, **more}


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_is_read_and_the_records_come_in_order(codec: str) -> None:
    body = container(record_of("long"), [{"x": one} for one in range(100)], codec, per_block=7)
    table = read(body, "x.avro")
    assert table.columns == ("x",) and table.is_cut
    assert [one.fields for one in table.records] == [(str(one),) for one in range(100)]


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz"])
def test_what_fastavro_writes_is_read(codec: str) -> None:
    file = BytesIO()
    fastavro.writer(file, record_of("string"), [{"x": str(one)} for one in range(2000)], codec=codec, sync_interval=500)
    assert [one.fields for one in read(file.getvalue(), "x").records] == [(str(one),) for one in range(2000)]


@pytest.mark.parametrize("kind", ["double", "float"])
@given(values=st.lists(st.floats(width=32) | st.sampled_from([0.1, 1e22, 1e-7, -0.0]) | st.none()))
def test_a_float_reads_back_and_has_no_exponent(kind: str, values: list[float | None]) -> None:
    form = "d" if kind == "double" else "f"
    for value, text in zip(values, texts(values, ["null", kind]), strict=True):
        if value is None or text is None:
            assert value is text
        else:
            assert struct.pack(form, float(text)) == struct.pack(form, value) or math.isnan(value)
            assert "e" not in text.lower() and not text.endswith(".0")


def test_a_short_float_is_not_longer_than_it_is() -> None:
    assert texts([0.1, 3.0, 1e22], "float") == ["0.1", "3", "10000000000000000000000"]


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=7, min_value=-(10**40), max_value=10**40)))
def test_a_decimal_is_exact_however_long(values: list[Decimal]) -> None:
    for size in ({}, {"size": 24, "name": "money"}):
        kind = logical("fixed" if size else "bytes", "decimal", precision=48, scale=7, **size)
        unscaled = [
            int(value.scaleb(7)) if abs(value) < 10**20 else int(str(value).replace(".", "")) for value in values
        ]
        raw = [one.to_bytes(24, "big", signed=True) for one in unscaled]
        plain = {name: value for name, value in kind.items() if name not in ("logicalType", "precision", "scale")}
        rows = [encoded({"x": one}, record_of(plain)) for one in raw]
        body = framed(record_of(kind), [(len(rows), b"".join(rows))])
        found = [one.fields[0] for one in read(body, "x").records]
        assert found == [f"{value:f}" if value or value.is_signed() is False else f"{-value:f}" for value in values]


@pytest.mark.parametrize(
    ("name", "per_second", "digits"),
    [("timestamp-millis", 1000, 3), ("timestamp-micros", 10**6, 6), ("timestamp-nanos", 10**9, 9)],
)
@given(seconds=st.integers(-(2**31), 2**32), part=st.integers(0, 999))
def test_a_time_is_the_same_moment_and_naive_if_it_is_local(
    name: str, per_second: int, digits: int, seconds: int, part: int
) -> None:
    count = seconds * per_second + part
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    expected = f"{moment:%Y-%m-%dT%H:%M:%S}.{part:0{digits}d}"
    for kind, end in ((name, "Z"), (f"local-{name}", "")):
        plain = encoded({"x": count}, record_of("long"))
        (found,) = read(framed(record_of(logical("long", kind)), [(1, plain)]), "x").records
        assert found.fields == (f"{expected}{end}",)


@pytest.mark.parametrize(
    ("count", "kind", "text"),
    [
        (2**63 - 1, "timestamp-millis", "292278994-08-17T07:12:55.807Z"),
        (-(2**63), "timestamp-millis", "-9223372036854775808"),
        (86_399_999_999, "time-micros", "23:59:59.999999"),
        (86_400_000_000, "time-micros", "86400000000"),
        (-1, "time-micros", "-1"),
        (7, "no-such-type", "7"),
    ],
)
def test_what_is_no_time_of_ours_keeps_its_number(count: int, kind: str, text: str) -> None:
    plain = encoded({"x": count}, record_of("long"))
    (found,) = read(framed(record_of(logical("long", kind)), [(1, plain)]), "x").records
    assert found.fields == (text,)


ID = uuid.UUID("0123456789abcdef0123456789abcdef")


@pytest.mark.parametrize(
    ("value", "kind", "data_type", "expected"),
    [
        (Decimal("12.3400"), logical("bytes", "decimal", precision=18, scale=4), "decimal(18,4)", Decimal("12.3400")),
        (12.5, "double", "decimal(18,2)", Decimal("12.50")),
        (3.0, "float", "bigint", 3),
        (2**63 - 1, "long", "bigint", 2**63 - 1),
        (7, "int", "integer", 7),
        (True, "boolean", "boolean", True),
        (date(2026, 11, 1), logical("int", "date"), "date", date(2026, 11, 1)),
        (datetime(2026, 11, 1, 9, tzinfo=UTC), logical("long", "timestamp-micros"), "timestamp", datetime(2026, 11, 1, 9)),
        (datetime(2026, 11, 1, 9, tzinfo=UTC), ["null", logical("long", "timestamp-millis")], "timestamp", datetime(2026, 11, 1, 9)),
        ("PAID", {"type": "enum", "name": "status", "symbols": ["OPEN", "PAID"]}, "varchar", "PAID"),
        (ID, logical("string", "uuid"), "varchar", str(ID)),
        ("é", "string", "varchar", "é"),
        (b"caf\xc3\xa9", "bytes", "varchar", "café"),
        ("", "string", "varchar", ""),
        (None, "null", "varchar", None),
        (None, ["null", "long", "string"], "varchar", None),
        ("a", ["null", "long", "string"], "varchar", "a"),
    ],
)  # fmt: skip
def test_the_contracts_parser_reads_it(value: Any, kind: Any, data_type: str, expected: Any) -> None:
    assert parsed(texts([value], kind)[0], data_type) == expected


def test_what_is_nested_is_json_with_its_names_in_order() -> None:
    inner = {
        "type": "record",
        "name": "inner",
        "namespace": "shop.orders",
        "fields": [
            {"name": "m", "type": {"type": "map", "values": logical("bytes", "decimal", precision=9, scale=2)}},
            {"name": "a", "type": {"type": "array", "items": ["null", "float"]}},
            {"name": "t", "type": logical("long", "timestamp-micros")},
            {"name": "b", "type": {"type": "fixed", "name": "two", "size": 2}},
            {"name": "next", "type": ["null", "inner"]},
        ],
    }
    value = {
        "m": {"z": Decimal("1.50"), "a": Decimal("-2.00")},
        "a": [None, 0.1, math.inf],
        "t": datetime(2026, 11, 1, tzinfo=UTC),
        "b": b"\xff\x00",
        "next": None,
    }
    found = texts([{**value, "next": value}, None], ["null", inner])
    alone = (
        '{"a": [null, 0.1, "inf"], "b": "ff00", "m": {"a": "-2.00", "z": "1.50"}, "next": NEXT,'
        ' "t": "2026-11-01T00:00:00.000000Z"}'
    )
    assert found == [alone.replace("NEXT", alone.replace("NEXT", "null")), None]


def test_a_record_of_several_in_a_union_says_which_it_is() -> None:
    kinds = [{"type": "record", "name": name, "fields": [{"name": "n", "type": "int"}]} for name in ("card", "cash")]
    assert texts([("cash", {"n": 1})], ["null", *kinds]) == ['{"cash": {"n": 1}}']
    assert texts([{"n": 1}], ["null", kinds[0]]) == ['{"n": 1}']


def test_bytes_that_are_no_text_refuse_their_row_alone() -> None:
    fields = [{"name": "n", "type": "int"}, {"name": "text", "type": "bytes"}, {"name": "list", "type": {"type": "array", "items": "bytes"}}]  # fmt: skip
    rows = [{"n": 1, "text": b"a", "list": [b"a"]}, {"n": 2, "text": b"\xff\x00", "list": [b"\xff"]}]
    stored = b"".join(encoded(row, {"type": "record", "name": "row", "fields": fields}) for row in rows)
    # as strings, of the same bytes
    strings = json.loads(json.dumps(fields).replace('"bytes"', '"string"'))
    found = list(read(framed({"type": "record", "name": "row", "fields": strings}, [(2, stored)]), "x").records)
    assert (found[0].fields, found[0].reason) == (("1", "a", '["a"]'), None)
    assert (found[1].fields, found[1].reason) == (("2", None, None), "invalid_utf8")
    told = {"n": "2", "text": None, "list": None, "bytes of text": "ff00", "bytes of list": b'["\xff"]'.hex()}
    assert json.loads(found[1].raw) == json.loads(found[1].text or "") == told
    found = list(read(framed({"type": "record", "name": "row", "fields": fields}, [(2, stored)]), "x").records)
    assert (found[1].fields, found[1].reason) == (("2", None, '["ff"]'), "invalid_utf8")


WHOLE = container(record_of("string"), [{"x": f"row {one}"} for one in range(10)], "deflate")


def test_a_file_that_is_cut_is_tried_again_wherever_it_ends() -> None:
    ends, seen = {len(WHOLE)}, 0
    for size in range(len(WHOLE)):
        try:
            seen = len(list(read(WHOLE[:size], "x.avro").records))
            ends.add(size)
        except Transient as error:
            assert "the Avro file is cut" in str(error) and error.where == "x.avro"
    # Where a block ends a file may end: such a one is whole, and is held back only while it is young.
    assert len(ends) == 1 + 4 and seen == 9
    assert read(WHOLE, "x.avro").is_cut


@given(st.integers(4, len(WHOLE) - 1), st.integers(1, 255))
def test_any_changed_byte_is_read_or_told(place: int, change: int) -> None:
    body = bytearray(WHOLE)
    body[place] ^= change
    try:
        list(read(bytes(body), "x.avro").records)
    except ClearwellError as error:
        assert error.where == "x.avro" and error.todo and "\n" not in str(error)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_told(body: bytes) -> None:
    for given_bytes in (body, b"Obj\x01" + body, framed(record_of("string"), []) + body):
        try:
            list(read(given_bytes, "x.avro").records)
        except ClearwellError as error:
            assert error.where == "x.avro"


def damaged() -> Iterator[tuple[str, bytes]]:
    schema, rows = record_of("string"), b"".join(encoded({"x": one}, record_of("string")) for one in "abc")
    yield "the bytes of a record that no count names", framed(schema, [(2, rows)])
    yield "a record more than there are bytes", framed(schema, [(4, rows)])
    yield "less than no record", framed(schema, [(-1, rows)])
    yield "records without end that take no byte", framed(record_of("null"), [(2**40, b"")])
    yield "another mark at the end of a block", framed(schema, [(3, rows)], sync=bytes(16))
    yield "a checksum that differs", framed(schema, [(3, snappy(rows)[:-1] + b"x")], "snappy")
    yield "compressed data that is cut", framed(schema, [(3, deflate(rows)[:-1])], "deflate")
    yield "compressed data that goes on", framed(schema, [(3, bz2.compress(rows) + b"x")], "bzip2")
    yield "what is not zstandard", framed(schema, [(3, rows)], "zstandard")
    yield "no schema", framed("no-such-type", [])
    yield "no Avro at all", b"a,b\n1,2\n"


@pytest.mark.parametrize(("what", "body"), damaged())
def test_a_damaged_file_is_permanent_and_named(what: str, body: bytes) -> None:
    with pytest.raises(Permanent, match=r"the file is no Avro that can be read: .*x\.avro"):
        list(read(body, "x.avro").records)


def test_a_codec_and_a_schema_that_are_not_for_rows_say_so() -> None:
    with pytest.raises(Permanent, match=r"compressed by 'lz4', which is not read.*one of: null, deflate, snappy"):
        read(framed(record_of("int"), [], "lz4"), "x.avro")
    with pytest.raises(Permanent, match="holds no records"):
        read(framed({"type": "array", "items": "int"}, []), "x.avro")
    with pytest.raises(Permanent, match="the header is empty"):
        read(framed({"type": "record", "name": "row", "fields": []}, []), "x.avro")


def test_a_block_is_bounded_when_it_is_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avro_records, "_BLOCK_BYTES", 1000)
    for codec in set(CODECS) - {"null"}:
        body = container(record_of("string"), [{"x": "a" * 2000}], codec)
        with pytest.raises(Permanent, match="inflates to more than"):
            list(read(body, "x.avro").records)


def test_only_one_block_is_inflated_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    inflated: list[int] = []

    def inflate(stored: bytes) -> bytes:
        inflated.append(len(stored))
        return stored

    monkeypatch.setattr(avro_records, "_CODECS", {"null": inflate})
    records = read(container(record_of("long"), [{"x": one} for one in range(9)]), "x").records
    for number, _ in enumerate(records):
        assert len(inflated) == number // 3 + 1


def test_it_is_known_by_its_first_bytes_or_its_name() -> None:
    assert is_avro(WHOLE, "x") and is_avro(b"", "a/X.Avro") and not is_avro(b"x", "a.csv")
