"""Read Parquet as texts: each value can be read back from its text, by plain Python and by the contract's parser."""

import json
import math
import struct
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Context, Decimal
from io import BytesIO, RawIOBase
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.errors import ClearwellError, Permanent, Transient
from ingestion.sources import parquet_records
from ingestion.sources.parquet_records import is_parquet, read
from tests.unit.macros.dbt_like import project


def parquet(table: pa.Table, **options: Any) -> bytes:
    file = BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


def texts(values: list[Any], kind: pa.DataType) -> list[str | None]:
    body = parquet(pa.table({"x": pa.array(values, kind)}), store_schema=True)
    found = list(read(body, "x.parquet").records)
    assert [one.line for one in found] == list(range(1, len(values) + 1))
    assert all(one.reason is None for one in found)
    return [one.fields[0] for one in found]


def parsed(text: str | None, data_type: str) -> Any:
    """Parse a text as the contract's parser does."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        sql = project(connection, {})["typed"]("given_text", data_type)
        (found,) = connection.execute(f"select {sql} from (select $1::varchar as given_text)", [text]).fetchall()
        return found[0]


doubles = st.floats() | st.sampled_from([0.1, 1e22, 1e-7, 5e-324, 1.7976931348623157e308, -0.0])


@given(st.lists(doubles | st.none()))
def test_a_float_reads_back_and_has_no_exponent(values: list[float | None]) -> None:
    for value, text in zip(values, texts(values, pa.float64()), strict=True):
        if value is None or text is None:
            assert value is text
        else:
            again = float(text)
            assert struct.pack("d", again) == struct.pack("d", value) or (math.isnan(value) and math.isnan(again))
            assert "e" not in text.lower() and not text.endswith(".0")


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_a_short_float_is_not_longer_than_it_is(values: list[float]) -> None:
    for value, text in zip(values, texts(values, pa.float32()), strict=True):
        assert text is not None and struct.pack("f", float(text)) == struct.pack("f", value)
    assert texts([0.1, 3.0], pa.float32()) == ["0.1", "3"]


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=7, min_value=-(10**20), max_value=10**20)))
def test_a_decimal_is_exact(values: list[Decimal]) -> None:
    found = texts(values, pa.decimal128(38, 7))
    assert found == [f"{value.quantize(Decimal('1e-7'), context=Context(prec=40)):f}" for value in values]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@given(seconds=st.integers(-(2**31), 2**32))
def test_a_time_is_the_same_moment_and_naive_if_it_was(unit: str, seconds: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    zone = timezone(timedelta(hours=5, minutes=30))
    (text,) = texts([moment.astimezone(zone)], pa.timestamp(unit, "Asia/Kolkata"))
    assert text and text.endswith("Z") and datetime.fromisoformat(text) == moment
    naive = moment.replace(tzinfo=None)
    (text,) = texts([naive], pa.timestamp(unit))
    assert text and datetime.fromisoformat(text) == naive


@pytest.mark.parametrize(
    ("value", "kind", "data_type", "expected"),
    [
        (Decimal("12.3400"), pa.decimal128(18, 4), "decimal(18,4)", Decimal("12.3400")),
        (Decimal("0.0000001"), pa.decimal128(18, 7), "decimal(18,7)", Decimal("0.0000001")),
        (12.5, pa.float64(), "decimal(18,2)", Decimal("12.50")),
        (3.0, pa.float64(), "bigint", 3),
        (2**63 - 1, pa.int64(), "bigint", 2**63 - 1),
        (7, pa.uint8(), "integer", 7),
        (True, pa.bool_(), "boolean", True),
        (date(2026, 11, 1), pa.date32(), "date", date(2026, 11, 1)),
        (date(2026, 11, 1), pa.date64(), "date", date(2026, 11, 1)),
        (datetime(2026, 11, 1, 9, 0, 0, 123456), pa.timestamp("us"), "timestamp", datetime(2026, 11, 1, 9, 0, 0, 123456)),
        (datetime(2026, 11, 1, 9, tzinfo=UTC), pa.timestamp("ns", "Europe/Berlin"), "timestamp", datetime(2026, 11, 1, 9)),
        ("é", pa.dictionary(pa.int32(), pa.string()), "varchar", "é"),
        (b"caf\xc3\xa9", pa.binary(), "varchar", "café"),
        ("", pa.string(), "varchar", ""),
        (None, pa.null(), "varchar", None),
    ],
)  # fmt: skip
def test_the_contracts_parser_reads_it(value: Any, kind: pa.DataType, data_type: str, expected: Any) -> None:
    assert parsed(texts([value], kind)[0], data_type) == expected


def test_what_is_nested_is_json() -> None:
    kind = pa.struct(
        [("a", pa.list_(pa.int64())), ("m", pa.map_(pa.string(), pa.decimal128(9, 2))), ("t", pa.timestamp("us", "UTC")), ("b", pa.binary())]
    )  # fmt: skip
    value = {"a": [1, None], "m": [("k", Decimal("1.50"))], "t": datetime(2026, 11, 1, tzinfo=UTC), "b": b"\xff"}
    found = texts([value, None], kind)
    assert json.loads(found[0] or "") == {
        "a": [1, None],
        "m": {"k": "1.50"},
        "t": "2026-11-01T00:00:00.000000Z",
        "b": "ff",
    }
    assert found[1] is None
    assert texts([[("k", 1), ("k", 2)], []], pa.map_(pa.string(), pa.int64())) == ['[["k", 1], ["k", 2]]', "{}"]
    assert texts([[math.nan, 1.5]], pa.list_(pa.float64())) == ['["nan", 1.5]']


def test_bytes_that_are_no_text_refuse_their_row_alone() -> None:
    raw = pa.array([b"a", b"\xff\x00", None], pa.binary())
    table = pa.table({"n": [1, 2, 3], "text": raw.view(pa.string()), "bytes": raw})
    found = list(read(parquet(table), "x.parquet").records)
    assert [(one.fields, one.reason) for one in found] == [
        (("1", "a", "a"), None),
        (("2", None, None), "invalid_utf8"),
        (("3", None, None), None),
    ]
    told = {"n": "2", "text": None, "bytes": None, "bytes of text": "ff00", "bytes of bytes": "ff00"}
    assert json.loads(found[1].raw) == json.loads(found[1].text or "") == told


def test_many_rows_come_in_order_and_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_records, "_BATCH_ROWS", 7)
    body = parquet(pa.table({"x": range(100)}), row_group_size=11)
    assert [one.fields for one in read(body, "x").records] == [(str(n),) for n in range(100)]


def test_a_row_that_is_lost_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = pq.ParquetFile.iter_batches
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", lambda *given: (one.slice(1) for one in batches(*given)))
    with pytest.raises(Permanent, match="the file has 3 rows, but 2 were read"):
        list(read(parquet(pa.table({"x": [1, 2, 3]})), "x").records)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (pa.table([[1], [2]], ["a", "a"]), "names a twice"),
        (pa.table([[1]], [""]), "without a name"),
        (pa.table({}), "is empty"),
    ],
)
def test_columns_without_names_of_their_own_are_an_error(table: pa.Table, said: str) -> None:
    with pytest.raises(Permanent, match=said):
        read(parquet(table), "x.parquet")


def test_a_file_that_is_cut_is_tried_again_and_one_that_is_damaged_is_not() -> None:
    whole = parquet(pa.table({"x": list(range(1000))}), write_page_checksum=True)
    assert is_parquet(whole, "x") and is_parquet(b"", "a/X.Parquet") and not is_parquet(b"x", "a.csv")
    for size in (0, 4, 100, len(whole) - 1):
        with pytest.raises(Transient, match=r"the Parquet file is cut.*x\.parquet"):
            read(whole[:size], "x.parquet")
    with pytest.raises(Permanent, match=r"is no Parquet that can be read: .*x\.parquet"):
        read(b"a,b\n1,2\n", "x.parquet")
    damaged = bytearray(whole)
    damaged[60] ^= 255
    with pytest.raises(Permanent, match="is no Parquet that can be read") as raised:
        list(read(bytes(damaged), "x.parquet").records)
    assert "\n" not in str(raised.value)


@given(st.integers(4), st.integers(1, 255))
def test_any_changed_byte_is_read_or_told(place: int, change: int) -> None:
    body = bytearray(parquet(pa.table({"x": [1, 2], "y": ["a", "b"]}), write_page_checksum=True))
    body[place % len(body)] ^= change
    try:
        list(read(bytes(body), "x.parquet").records)
    except ClearwellError as error:
        assert error.where == "x.parquet" and error.todo


class Keys(pe.KmsClient):
    """Keys that are no secret, to make an encrypted file."""

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
        return key_bytes.hex().encode()

    def unwrap_key(self, wrapped_key: bytes, master_key_identifier: str) -> bytes:
        return bytes.fromhex(wrapped_key.decode())


@pytest.mark.parametrize("plaintext_footer", [False, True])
def test_an_encrypted_file_says_so(tmp_path: Path, plaintext_footer: bool) -> None:
    table = pa.table({"x": [1]})
    config = pe.EncryptionConfiguration("footer", column_keys={"column": ["x"]}, plaintext_footer=plaintext_footer)
    factory = pe.CryptoFactory(lambda _config: Keys())
    properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), config)
    with pq.ParquetWriter(tmp_path / "x", table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)
    with pytest.raises(Permanent, match="the Parquet file is encrypted"):
        list(read((tmp_path / "x").read_bytes(), "x.parquet").records)


def test_of_an_open_file_only_what_is_wanted_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"n": list(range(200_000))}), path, row_group_size=10_000, compression="none")
    read_bytes = 0

    class Counting(RawIOBase):
        """Count what is read of a file."""

        def __init__(self) -> None:
            self.file = path.open("rb")

        def seekable(self) -> bool:
            return True

        def readable(self) -> bool:
            return True

        def seek(self, offset: int, whence: int = 0) -> int:
            return self.file.seek(offset, whence)

        def tell(self) -> int:
            return self.file.tell()

        def read(self, size: int = -1) -> bytes:
            nonlocal read_bytes
            found = self.file.read(size)
            read_bytes += len(found)
            return found

        def close(self) -> None:
            self.file.close()

    with pa.PythonFile(Counting(), mode="r") as file:
        table = parquet_records.read(file, "x.parquet")
        assert [next(table.records).fields for _ in range(3)] == [("0",), ("1",), ("2",)]
    assert 0 < read_bytes < path.stat().st_size / 3
    whole = parquet_records.read(path.read_bytes(), "x.parquet")
    assert sum(1 for _ in whole.records) == 200_000
