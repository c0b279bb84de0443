"""Any bytes in any file end as records or as one clear error: no traceback, and no record is lost."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ingestion import bronze, sources
from ingestion.contract import Contract, read_contract, read_contracts
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.manifest import CHECKSUM, Manifest
from ingestion.sources import csv_records
from ingestion.window import Window

CONTRACTS = {name: replace(one, expect_records_every=None) for name, one in read_contracts().items()}
PRESENT = Path(__file__).parents[3] / "dbt_project" / "models" / "staging" / "staging_orders.yml"
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
WINDOW = Window.parse("2026-11-01T10:00", "2026-11-01T11:00")
AT = datetime(2100, 1, 1, tzinfo=UTC)
BYTES = st.binary(max_size=60) | st.lists(
    st.sampled_from(
        [
            b"\n",
            b"\r\n",
            b"\r",
            b",",
            b'"',
            b"'",
            b"\\",
            b"\xff",
            b"\0",
            b"a",
            b"2026-11-01",
            b" ",
            b"\xef\xbb\xbf",
            "é".encode(),
            b"{}",
            b"\xe2\x80\xa8",
            b"\x85",
            b"\x0c",
        ]
    ),
    max_size=20,
).map(b"".join)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.dates()
    | st.sampled_from(["1 day", "rows", "orders", "order_id", "[", "decimal(99,99)", "varchar"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(SCALARS.filter(lambda one: one == one), inner, max_size=2)
    ),
    max_leaves=4,
)


def paths(body: object, at: tuple = ()) -> list[tuple]:
    """List the path to every value in a document."""
    found = [at] if at else []
    inner = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for name, value in inner:
        found += paths(value, (*at, name))
    return found


def with_value(body: object, at: tuple, value: object) -> object:
    """Return a document with another value in one place."""
    if not at:
        return value
    copied = dict(body) if isinstance(body, dict) else list(body)  # type: ignore[call-overload, arg-type]
    copied[at[0]] = with_value(copied[at[0]], at[1:], value)
    return copied


def read_or_told(path: Path) -> None:
    try:
        assert isinstance(read_contract(path), Contract)
    except Permanent as error:
        assert error.todo and error.where


@SHARED
@given(BYTES | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"a: &a [*a]")
@example(b"!!python/object/apply:os.system ['true']")
@example(b"? [a]\n: b")
@example(b"[" * 5000)
def test_any_bytes_as_a_contract(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "contract.yml"
    path.write_bytes(body)
    read_or_told(path)


@settings(SHARED, max_examples=100)
@given(st.sampled_from(paths(yaml.safe_load(PRESENT.read_text())["sources"])), VALUES)
def test_any_value_in_any_place_of_a_contract(tmp_path: Path, at: tuple, value: object) -> None:
    body = yaml.safe_load(PRESENT.read_text())
    path = tmp_path / "contract.yml"
    path.write_text(yaml.safe_dump({"sources": with_value(body["sources"], at, value)}))
    read_or_told(path)


MANIFEST = json.loads(
    Manifest("orders", "b", "orders", WINDOW, 1, AT, 1, 1, columns=("a",), renamed={"A": "a"}).to_json()
) | {
    "files": [{"name": "part-0.parquet", "bytes": 1, "sha256": "x"}],
    "inputs": [],
    "waiting": [{"path": "p", "reason": "r"}],
    "reading": {
        "read": 1,
        "landed": 1,
        "later": 0,
        "landed_before": 0,
        "left": 0,
        "days": {},
        "files": ["a"],
        "inputs": [{"path": "p", "bytes": 1, "sha256": "x", "records": 1, "mtime_ns": 1}],
    },
}
MANIFEST.pop(CHECKSUM)  # with a checksum, an altered manifest is refused before its fields are read


@given(st.text())
def test_any_text_as_a_manifest(text: str) -> None:
    with pytest.raises(Permanent):
        Manifest.from_json(text, where="here")


@settings(max_examples=300)
@given(st.sampled_from(paths(MANIFEST)), VALUES.filter(lambda one: "date" not in repr(one)))
def test_any_value_in_any_place_of_a_manifest(at: tuple, value: object) -> None:
    try:
        text = json.dumps(with_value(MANIFEST, at, value))
    except TypeError:
        return  # not JSON
    try:
        found = Manifest.from_json(text, where="here")
    except Permanent as error:
        assert error.where
    else:
        assert isinstance(found.records_written, int) and str(found.window) and found.to_json()


@pytest.mark.parametrize("folder", ["orders/2026-11-01", "orders/no-date", "no such/2026-11-01"])
@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b"null", b"{}", b"1"])
def test_a_folder_of_bronze_that_is_none(home: Home, folder: str, body: bytes) -> None:
    place = home.bronze / folder / "x"
    place.mkdir(parents=True)
    (place / "manifest.json").write_bytes(body)
    found = bronze.look(home)
    assert found.manifests == ()
    if "no-date" in folder:
        assert not found.broken
    else:
        ((ref, why),) = found.broken.items()
        assert ref.batch_id == "x" and str(place) in why


@given(BYTES, BYTES)
@example(b"a,b\n", b'"\n1,2\n')
@example(b"a\n", b'"' + b"x\n" * 30)
@example(b"'\n", b"'")
def test_every_line_of_a_csv_is_in_one_record(header: bytes, body: bytes) -> None:
    try:
        table = csv_records.read(header + body, "here")
        records = list(table.records)
    except Permanent as error:
        assert error.where == "here" and error.todo
        return
    # From the first record on, the records and the empty lines between them are the file.
    lines = re.findall(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", (header + body).removeprefix(b"\xef\xbb\xbf"))
    left = b"".join(lines[records[0].line - 1 :]) if records else b""
    for record in records:
        before, found, left = left.partition(record.raw)
        assert found and not before.strip(b"\r\n"), record
        assert record.reason or len(record.fields) == len(table.columns)
    assert not left.strip(b"\r\n")


@settings(SHARED, max_examples=25)
@given(st.lists(BYTES, min_size=1, max_size=2), st.sampled_from(["jsonl", "ndjson"]))
def test_every_line_of_the_clickstream_lands(
    tmp_path_factory: pytest.TempPathFactory, bodies: list[bytes], ending: str
) -> None:
    root = tmp_path_factory.mktemp("home")
    home = Home(root / "home", root / "landing")
    folder = home.landing / "2026-11-01" / "10"
    folder.mkdir(parents=True)
    for number, body in enumerate(bodies):
        (folder / f"{number}.{ending}").write_bytes(body)
    landing = sources.ingest("clickstream", WINDOW, home, AT, contracts=CONTRACTS)
    lines = [line + b"\n" if whole else line for body in bodies for line, whole in split(body)]
    assert landing.records == len(lines) or landing.waiting
    if not landing.waiting:
        held = [
            row["raw_bytes"] if row["raw"] is None else row["raw"].encode()
            for manifest in landing.manifests
            for path in bronze.parquet_files(home, manifest)
            for row in pq.read_table(path).to_pylist()
        ]
        assert sorted(held) == sorted(lines)


def split(body: bytes) -> list[tuple[bytes, bool]]:
    """Split at newlines and nowhere else; return each line, and whether it ended in a newline."""
    *whole, rest = body.split(b"\n")
    return [(line, True) for line in whole] + ([(rest, False)] if rest else [])


@settings(SHARED, max_examples=15)
@given(BYTES, st.sampled_from(["jsonl.gz", "jsonl.zst"]))
def test_any_bytes_as_a_compressed_file_wait_or_land(
    tmp_path_factory: pytest.TempPathFactory, body: bytes, ending: str
) -> None:
    root = tmp_path_factory.mktemp("home")
    home = Home(root / "home", root / "landing")
    folder = home.landing / "2026-11-01" / "10"
    folder.mkdir(parents=True)
    (folder / f"0.{ending}").write_bytes(body)
    landing = sources.ingest("clickstream", WINDOW, home, AT, contracts=CONTRACTS)
    # JSON under a packed name is read as it is
    is_json = body.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")
    assert bool(landing.waiting) != is_json
    assert all(one.reason for one in landing.waiting)
