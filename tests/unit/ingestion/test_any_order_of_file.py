"""Files of every format and place: whatever the order of files and windows, the repeats and the kills, the batches are the same."""

import csv
import gzip
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from pathlib import Path

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion import bronze, sources
from ingestion.contract import Contract, read_contract
from ingestion.home import Home
from ingestion.sources import s3, sftp
from ingestion.window import Window
from tests.unit.ingestion.killed import killed_at
from tests.unit.ingestion.sources import s3_store, sftp_server

CONTRACT = """
sources:
  - name: bronze
    tables:
      - name: reviews
        config: {meta: {contract_version: 1, source: reviews, format: rows, key: [id], event_time: written_at, cadence: 1 day,
                 lateness: 1 day, owner: us, location: here.csv}}
        columns: [{name: id, data_type: varchar}, {name: stars, data_type: bigint}, {name: written_at, data_type: timestamp}]
"""
NOW = datetime(2100, 1, 1, tzinfo=UTC)
DAYS = [date(2026, 11, day) for day in (1, 2, 3)]
WINDOWS = [Window.parse(str(day), str(day + timedelta(days=1))) for day in DAYS]
COLUMNS = ("id", "stars", "written_at")
FORMATS = ("csv", "jsonl", "parquet", "avro")
PLACES = ("path", "sftp", "s3", "http")
# What a window writes: at which of these it is killed.
KILLS = st.none() | st.integers(0, 16)
Runs = list[tuple[int, int | None]]
_EXAMPLES = count()


@dataclass(frozen=True)
class Row:
    id: str
    stars: int | None
    at: datetime

    @property
    def texts(self) -> tuple[str, str | None, str]:
        return self.id, None if self.stars is None else str(self.stars), f"{self.at:%Y-%m-%dT%H:%M:%S.%fZ}"


def rows_of(day: date) -> st.SearchStrategy[list[Row]]:
    times = st.times().map(lambda at: datetime.combine(day, at if at != time.max else time(), UTC))
    return st.lists(
        st.builds(Row, st.sampled_from(["a", "é,", 'b"', "c\nd"]), st.none() | st.integers(-9, 9), times), max_size=5
    )


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[list[Row]], list[list[list[Row]]], Runs]:
    """Draw each day's rows, the same rows as files in some order, and windows to land, some of them killed on the way."""
    days = [draw(rows_of(day)) for day in DAYS]
    files = []
    for rows in days:
        shuffled = draw(st.permutations(rows))
        cuts = sorted(draw(st.lists(st.integers(0, len(rows)), max_size=2)))
        files.append([shuffled[start:end] for start, end in zip([0, *cuts], [*cuts, len(rows)], strict=True)])
    tries = draw(st.lists(st.tuples(st.integers(0, 2), KILLS), max_size=5))
    last = draw(st.permutations([(place, None) for place in range(3)]))
    return days, files, [*tries, *last]


def written(rows: list[Row], form: str) -> bytes:
    file = io.BytesIO()
    if form == "csv":
        text = io.StringIO()
        csv.writer(text).writerows([COLUMNS, *([one or "" for one in row.texts] for row in rows)])
        return text.getvalue().encode()
    if form == "jsonl":
        return b"".join(json.dumps(row.texts).encode() + b"\n" for row in rows)
    given_rows = [dict(zip(COLUMNS, (row.id, row.stars, row.at), strict=True)) for row in rows]
    if form == "parquet":
        kinds = zip(COLUMNS, (pa.string(), pa.int32(), pa.timestamp("us", "UTC")), strict=True)
        pq.write_table(pa.Table.from_pylist(given_rows, pa.schema(list(kinds))), file)
    else:
        types = ("string", ["null", "int"], {"type": "long", "logicalType": "timestamp-micros"})
        fields = [{"name": name, "type": kind} for name, kind in zip(COLUMNS, types, strict=True)]
        fastavro.writer(file, {"type": "record", "name": "review", "fields": fields}, given_rows, codec="deflate")
    return file.getvalue()


@dataclass(frozen=True)
class Places:
    """A folder, and the addresses under which its files are read."""

    root: Path
    addresses: dict[str, str]
    store: s3_store.Store

    def begin(self) -> str:
        """Return the name of a new folder in it."""
        self.store.objects.clear()
        return f"{next(_EXAMPLES)}"

    def deliver(self, name: str, body: bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        os.utime(path, (0, 0))
        self.store.objects[name] = body


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    """Yield a folder that is read as a path, over SFTP, as a bucket, and by addresses, all of this machine."""
    root = tmp_path_factory.mktemp("exports")
    with sftp_server.serving(root) as server, s3_store.serving() as store, pytest.MonkeyPatch.context() as patch:
        given_as = {
            "conn_type": "sftp", "host": "127.0.0.1", "port": server.port, "login": sftp_server.USER,
            "password": sftp_server.PASSWORD, "extra": {"host_key": server.host_key},
        }  # fmt: skip
        patch.setenv("AIRFLOW_CONN_PARTNER", json.dumps(given_as))
        for name in ("AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
            patch.delenv(name, raising=False)
        keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret-key", "AWS_REGION": "us-east-1"}
        for name, value in (keys | {"AWS_ENDPOINT_URL": store.address}).items():
            patch.setenv(name, value)
        http = f"{store.address}/exports"
        yield Places(root, {"path": str(root), "sftp": "sftp://partner", "s3": "s3://exports", "http": http}, store)
        sftp.close()
        s3._connected.cache_clear()


def contract(folder: Path, location: str, form: str) -> dict[str, Contract]:
    path = folder / "staging_reviews.yml"
    path.write_text(CONTRACT)
    found = read_contract(path)
    is_lines = form == "jsonl"
    lateness = timedelta(0) if is_lines else found.lateness
    settings = replace(found.settings, location=location)
    kind = "json_lines" if is_lines else "rows"
    return {"reviews": replace(found, settings=settings, format=kind, lateness=lateness)}


def land(home: Home, contracts: dict[str, Contract], place: int, kill: int | None = None) -> None:
    """Land a window, or be killed on the way."""
    with killed_at(kill):
        sources.ingest("reviews", WINDOWS[place], home, NOW, contracts=contracts)


def batches(home: Home) -> dict[str, tuple[Window, list[tuple[object, ...]]]]:
    """Return the content of all batches by their ids. Nothing else is left of the runs that were killed."""
    found = {}
    for manifest in bronze.committed(home):
        parts = [pq.read_table(path).to_pylist() for path in bronze.parquet_files(home, manifest)]
        records = [tuple(row.values())[1:] for part in parts for row in part]
        assert len(records) == manifest.records_written == manifest.counted_by_source
        found[manifest.batch_id] = manifest.window, records
    with bronze.staged(home, "reviews"):
        assert len([one for one in home.staging.iterdir() if one.is_dir()]) == 1
    return found


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=6)
@given(deliveries(), st.booleans(), st.booleans())
def test_any_order_repeat_and_kill_leads_to_the_same_batches(
    places: Places,
    tmp_path_factory: pytest.TempPathFactory,
    form: str,
    place: str,
    delivered: tuple[list[list[Row]], list[list[list[Row]]], Runs],
    is_folder_a_day: bool,
    is_packed: bool,
) -> None:
    days, files, runs = delivered
    layout = "{date}/*" if is_folder_a_day else "*"
    if form == "jsonl" and layout == "*":
        layout = "{date}.*"  # lines of files for all days land with the window that finds them
    if place == "http":
        layout = "{date}"  # an address cannot be listed: a file a day
        files = [[[row for rows in parts for row in rows]] for parts in files]
    name = places.begin()
    home, plain = (
        Home(places.root.parent / f"{one}-{name}-{places.root.name}", places.root) for one in ("home", "plain")
    )
    scratch = tmp_path_factory.mktemp("contract")
    for day, parts in zip(DAYS, files, strict=True):
        for number, rows in reversed(list(enumerate(parts))):
            at = {"{date}/*": f"{day}/{number}.{form}", "*": f"{day}-{number}.{form}", "{date}.*": f"{day}.{number}"}
            body = written(rows, form)
            places.deliver(f"{name}/{at.get(layout, day)}", gzip.compress(body) if is_packed else body)
    contracts = contract(scratch, f"{places.addresses[place]}/{name}/{layout}", form)
    for window, kill in runs:
        land(home, contracts, window, kill)
    found = batches(home)
    assert len(found) == len(WINDOWS)

    if form == "jsonl":
        lines = [[json.dumps(row.texts) + "\n" for part in parts for row in part] for parts in files]
        assert {window: [one[0] for one in records] for window, records in found.values()} == dict(
            zip(WINDOWS, lines, strict=True)
        )
        for window in range(3):
            land(plain, contracts, window)
    else:
        # One CSV per day, in order, each landed once: other files, the same batches.
        folder = scratch / "plain"
        folder.mkdir()
        for day, rows in zip(DAYS, days, strict=True):
            (folder / f"{day}.csv").write_bytes(written(rows, "csv"))
        one = "*.csv" if layout == "*" else "{date}.csv"
        for window in range(3):
            land(plain, contract(scratch, f"{folder}/{one}", "csv"), window)
        reach = 1 if layout == "*" else 0
        expected = {
            window: sorted(
                (row.texts for rows in days[max(place - reach, 0) : place + 1] for row in rows),
                key=lambda texts: [(text is not None, text or "") for text in texts],
            )
            for place, window in enumerate(WINDOWS)
        }
        assert dict(found.values()) == expected
    assert found == batches(plain)


@pytest.mark.parametrize("place", ["path", "sftp", "s3"])
@pytest.mark.parametrize("form", [form for form in FORMATS if form != "jsonl"])
@settings(max_examples=4)
@given(deliveries())
def test_without_an_event_time_each_row_of_a_month_lands_once(
    places: Places,
    tmp_path_factory: pytest.TempPathFactory,
    form: str,
    place: str,
    delivered: tuple[list[list[Row]], list[list[list[Row]]], Runs],
) -> None:
    """Which window lands them depends on the order of windows; the records do not."""
    days, files, runs = delivered
    name = places.begin()
    home = Home(places.root.parent / f"home-{name}-{places.root.name}", places.root)
    for number, rows in enumerate(part for parts in files for part in parts):
        places.deliver(f"{name}/2026-11-{number}.{form}", written(rows, form))
    (found,) = contract(
        tmp_path_factory.mktemp("contract"), f"{places.addresses[place]}/{name}/{{year}}-{{month}}-*", form
    ).values()
    for window, kill in runs:
        land(home, {"reviews": replace(found, event_time=None)}, window, kill)
    landed = [record for _, records in batches(home).values() for record in records]
    assert sorted(landed, key=repr) == sorted((row.texts for rows in days for row in rows), key=repr)
    assert len({window for window, _ in batches(home).values()}) == len(WINDOWS)
