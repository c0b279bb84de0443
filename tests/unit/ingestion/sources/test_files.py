"""Datasets that come as CSV: from a file, an address or a package, as their contract says."""

import csv
import gzip
import http.server
import io
import json
import os
import re
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from ingestion import bronze, sources
from ingestion.contract import read_contract
from ingestion.errors import Permanent, Transient
from ingestion.home import Home
from ingestion.land import Landing
from ingestion.manifest import Reading
from ingestion.sources import csv_records, files
from ingestion.window import Window

NOW = datetime(2026, 11, 20, tzinfo=UTC)
PUBLISHED = datetime(2026, 11, 3, 15, tzinfo=UTC)
WIDE = "Date,USD,JPY,XYZ,\n2026-11-03,1.1,175.60,N/A,\n2026-11-02,1.2,,3,\n2026-10-20,1.3,170,,\n"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home", tmp_path / "landing")


def land(home: Home, start: str = "2026-11-02", end: str = "2026-11-03", source: str = "exchange_rates") -> Landing:
    return sources.ingest(source, Window.parse(start, end), home, NOW)


def rows(home: Home, landing: Landing) -> list[tuple[str | None, ...]]:
    found = [pq.read_table(path).to_pylist() for path in bronze.parquet_files(home, landing.manifests[0])]
    return [tuple(row.values())[1:] for part in found for row in part]


def give(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | bytes, name: str = "rates.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    os.utime(path, (PUBLISHED.timestamp(), PUBLISHED.timestamp()))
    monkeypatch.setenv("EXCHANGE_RATES", str(path))
    return path


REVIEWS = """
sources:
  - name: bronze
    tables:
      - name: reviews
        config: {meta: {contract_version: 1, source: reviews, format: rows, key: [review_id], event_time: reviewed_at,
                 cadence: 1 day, lateness: 2 days, owner: us, location: "LOCATION"EXPECTED}}
        columns:
          - {name: review_id, data_type: varchar, config: {meta: {required: true}}}
          - {name: stars, data_type: bigint}
          - {name: reviewed_at, data_type: timestamp, config: {meta: {required: true}}}
"""
HEADER = "review_id,stars,reviewed_at\n"


def land_reviews(
    home: Home,
    folder: Path,
    start: str = "2026-11-10",
    end: str = "2026-11-11",
    location: str = "${EXCHANGE_RATES}",
    expected: str = "",
) -> Landing:
    path = folder / "staging_reviews.yml"
    path.write_text(REVIEWS.replace("LOCATION", location).replace("EXPECTED", expected))
    return sources.ingest("reviews", Window.parse(start, end), home, NOW, contracts={"reviews": read_contract(path)})


def test_a_file_may_have_other_names_than_the_contract(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    contract = tmp_path / "staging_reviews.yml"
    text = REVIEWS.replace("LOCATION", "${EXCHANGE_RATES}").replace("EXPECTED", ", version_column: edition")
    text = text.replace(
        "required: true}}}\n          - {name: stars",
        "required: true, from: ['No', Number]}}}\n          - {name: stars",
    )
    text = text.replace(
        "timestamp, config: {meta: {required: true}}}", 'timestamp, config: {meta: {from: "Date, UTC"}}}'
    )
    contract.write_text(text + "          - {name: edition, data_type: timestamp, config: {meta: {from: As of}}}\n")

    def land_them(header: str) -> list[tuple[str | None, ...]]:
        give(monkeypatch, tmp_path, header + "\nr1,5,2026-11-10T09:00:00Z\nr2,4,2026-11-12\n")
        window = Window.parse("2026-11-10", "2026-11-11")
        landing = sources.ingest("reviews", window, home, NOW, contracts={"reviews": read_contract(contract)})
        assert landing.manifests[0].columns[-1] == "As of"
        return rows(home, landing)

    landed = [("r1", "5", "2026-11-10T09:00:00Z", "2026-11-03T15:00:00Z")]
    assert land_them('number,stars,"Date, UTC"') == land_them('No,stars,"Date, UTC"') == landed
    with pytest.raises(Permanent, match="it has no No or Number") as raised:
        land_them('review_id,stars,"Date, UTC"')
    assert "needs the columns No, stars, Date, UTC, As of; or the contract: `from` says" in str(raised.value)


def ids(home: Home, landing: Landing) -> list[str | None]:
    return [row[0] for row in rows(home, landing)]


def bad_rows(home: Home, landing: Landing) -> list[dict]:
    found = [pq.read_table(path).to_pylist() for path in bronze.parquet_files(home, landing.manifests[0])]
    return [row["bad_row"] for part in found for row in part if row.get("bad_row")]


def reading(landing: Landing) -> Reading:
    found = landing.manifests[0].reading
    assert found
    assert found.read == found.landed + found.later + found.landed_before + found.left
    assert landing.manifests[0].counted_by_source == landing.manifests[0].records_written == found.landed
    return found


def test_a_row_that_is_filtered_out_lands_with_another_window_or_is_told(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    give(
        monkeypatch,
        tmp_path,
        HEADER
        + "r1,5,2026-11-10T09:00:00Z\n"
        + "before,5,2026-11-08T00:00:00Z\n"  # within lateness
        + "after,5,2026-11-11T00:00:00Z\n"
        + "offset,5,2026-11-10T23:30:00-05:00\n"  # the day after, in UTC
        + "old,5,2026-10-01T09:00:00Z\n",
    )
    first = land_reviews(home, tmp_path)
    assert ids(home, first) == ["before", "r1"]
    assert (reading(first).read, reading(first).later, reading(first).left) == (5, 2, 1)
    told = "\n".join(first.messages)
    assert "2 rows of 2026-11-11 (as line 4)" in told and "1 row of 2026-10-01 (as line 6)" in told
    (command,) = re.findall(r"clearwell ingest reviews --from (\S+) --to (\S+)", told)
    assert command == ("2026-10-01", "2026-10-02")

    # each is landed by the command that was reported
    second = land_reviews(home, tmp_path, "2026-11-11", "2026-11-12")
    assert ids(home, second) == ["after", "offset", "r1"]
    assert ids(home, land_reviews(home, tmp_path, *command)) == ["old"]
    # then there is nothing left to report, until a row of that day changes
    again = land_reviews(home, tmp_path, "2026-11-12", "2026-11-13")
    assert (reading(again).left, reading(again).landed_before) == (0, 2)
    assert not re.search("clearwell ingest", "".join(again.messages))
    give(monkeypatch, tmp_path, HEADER + "old,4,2026-10-01T09:00:00Z\n")
    assert "clearwell ingest reviews --from 2026-10-01" in "".join(
        land_reviews(home, tmp_path, "2026-11-13", "2026-11-14").messages
    )


def test_a_file_a_day_lands_whole(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No other window reads the file, whatever dates it contains."""
    (tmp_path / "2026-11-10.csv").write_text(
        HEADER + "r1,5,2026-11-10T09:00:00Z\nafter,5,2026-11-12T00:00:00Z\nold,5,2026-10-01T09:00:00Z\n"
    )
    landing = land_reviews(home, tmp_path, location=f"{tmp_path}/{{date}}.csv")
    assert ids(home, landing) == ["after", "old", "r1"]
    assert reading(landing).read == 3 and not landing.messages


def test_a_day_may_have_several_files_also_compressed(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "dt=2026-11-10"
    folder.mkdir()
    (folder / "part-2.csv").write_text(HEADER + "r3,3,2026-11-10\n")
    (folder / "part-1.csv.gz").write_bytes(gzip.compress(f"{HEADER}r1,1,2026-11-10\n".encode()))
    (folder / "part-3.csv.zst").write_bytes(
        zstandard.compress(b"stars,review_id,reviewed_at,more\n2,r2,2026-11-09,x\n")
    )
    location = f"{tmp_path}/dt={{year}}-{{month}}-{{day}}/part-*"
    landing = land_reviews(home, tmp_path, location=location)
    assert rows(home, landing) == [
        ("r1", "1", "2026-11-10", None),
        ("r2", "2", "2026-11-09", "x"),
        ("r3", "3", "2026-11-10", None),
    ]
    # the same files again are the same batch, whatever they are called
    (folder / "part-2.csv").rename(folder / "part-9.csv")
    assert not land_reviews(home, tmp_path, location=location).new
    # a file that was overwritten lands as it is now, with all of its day
    (folder / "part-9.csv").write_text(HEADER + "r3,5,2026-11-10\n")
    again = land_reviews(home, tmp_path, location=location)
    assert again.new and [row[1] for row in rows(home, again)] == ["1", "2", "5"]


def test_parquet_is_shared_by_event_time_and_lands_as_text(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = give(monkeypatch, tmp_path, b"", "reviews.parquet")
    moments = [datetime(2026, 11, 10, 9, tzinfo=UTC), datetime(2026, 11, 11, tzinfo=UTC), None]
    table = pa.table({"review_id": ["r1", "r2", "r3"], "stars": [5.0, 4.0, 3.5], "reviewed_at": moments})
    pq.write_table(table, path)
    first = land_reviews(home, tmp_path)
    assert rows(home, first) == [("r1", "5", "2026-11-10T09:00:00.000000Z"), ("r3", "3.5", None)]
    assert reading(first).later == 1
    pq.write_table(table.take([2, 1, 0]), path, row_group_size=1)
    assert not land_reviews(home, tmp_path).new
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(Transient, match=r"reviews\.parquet"):
        land_reviews(home, tmp_path)


def test_parquet_and_csv_of_a_day_land_together_and_bad_rows_keep_their_bytes(home: Home, tmp_path: Path) -> None:
    texts = pa.array([b"r\xff", b"r1"]).view(pa.string())
    moments = pa.array(["2026-11-10", "2026-11-10"])
    pq.write_table(pa.table({"review_id": texts, "reviewed_at": moments}), tmp_path / "2026-11-10-a")
    (tmp_path / "2026-11-10-b").write_text(HEADER + "r2,1,2026-11-10\n")
    landing = land_reviews(home, tmp_path, location=f"{tmp_path}/{{date}}-*")
    assert [row[:3] for row in rows(home, landing)[:2]] == [("r1", "2026-11-10", None), ("r2", "2026-11-10", "1")]
    (bad,) = bad_rows(home, landing)
    assert (bad["reason"], bad["line_number"]) == ("invalid_utf8", 1)
    assert json.loads(bad["raw"]) == {"review_id": None, "reviewed_at": "2026-11-10", "bytes of review_id": "72ff"}


def test_one_cut_file_of_a_day_holds_all_of_it(home: Home, tmp_path: Path) -> None:
    (tmp_path / "2026-11-10-a.csv").write_text(HEADER + "r1,1,2026-11-10\n")
    (tmp_path / "2026-11-10-b.csv").write_bytes(gzip.compress(f"{HEADER}r2,1,2026-11-10\n".encode())[:-5])
    with pytest.raises(Transient, match=r"2026-11-10-b\.csv"):
        land_reviews(home, tmp_path, location=f"{tmp_path}/{{date}}-*.csv")
    assert bronze.list_batches(home) == []


def test_avro_lands_beside_csv_and_one_that_may_be_half_written_holds_both(home: Home, tmp_path: Path) -> None:
    times = {"type": "long", "logicalType": "timestamp-millis"}
    kinds = {"review_id": "string", "stars": ["null", "int"], "reviewed_at": times}
    schema = {"type": "record", "name": "r", "fields": [{"name": name, "type": kind} for name, kind in kinds.items()]}
    path, other = tmp_path / "2026-11-10-a.avro", tmp_path / "2026-11-10-b.csv"
    row = {"review_id": "a", "stars": 5, "reviewed_at": datetime(2026, 11, 10, 9, tzinfo=UTC)}
    with path.open("wb") as file:
        fastavro.writer(file, schema, [row], codec="deflate")
    other.write_text(HEADER + "b,4,2026-11-10\n")
    location, whole = f"{tmp_path}/{{date}}-*", path.read_bytes()
    os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    with pytest.raises(Transient, match=r"still being written.*a\.avro"):
        land_reviews(home, tmp_path, location=location)
    path.write_bytes(whole[:-1])
    os.utime(path, (0, 0))
    with pytest.raises(Transient, match=r"the Avro file is cut.*a\.avro"):
        land_reviews(home, tmp_path, location=location)
    assert bronze.list_batches(home) == []
    path.write_bytes(whole)
    os.utime(path, (0, 0))
    landing = land_reviews(home, tmp_path, location=location)
    assert rows(home, landing) == [("a", "5", "2026-11-10T09:00:00.000Z"), ("b", "4", "2026-11-10")]


def test_a_file_that_ends_within_a_line_waits_until_its_writer_must_be_done(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "2026-11-10.csv"
    path.write_text(HEADER + "r1,1,2026-11-10")
    os.utime(path, (NOW.timestamp() - 1, NOW.timestamp() - 1))
    with pytest.raises(Transient, match="still being written"):
        land_reviews(home, tmp_path, location=f"{tmp_path}/{{date}}.csv")
    os.utime(path, (NOW.timestamp() - 3, NOW.timestamp() - 3))
    assert ids(home, land_reviews(home, tmp_path, location=f"{tmp_path}/{{date}}.csv")) == ["r1"]


def test_a_folder_for_all_days_is_shared_as_one_file_is(home: Home, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + "r1,1,2026-11-10\nold,1,2026-10-01\nsoon,1,tomorrow\n")
    (tmp_path / "b.csv").write_text(HEADER + "r2,1,2026-11-11\nsome,1,day\nr3,1,2026-11-10\n")
    location = f"{tmp_path}/*.csv"
    first = land_reviews(home, tmp_path, location=location)
    assert ids(home, first) == ["r1", "r3", "some", "soon"]
    assert (reading(first).read, reading(first).later, reading(first).left) == (6, 1, 1)
    told = "\n".join(first.messages)
    assert f"(as line 2 of {tmp_path}/b.csv)" in told and f"(as line 3 of {tmp_path}/a.csv)" in told
    second = land_reviews(home, tmp_path, "2026-11-11", "2026-11-12", location=location)
    assert ids(home, second) == ["r1", "r2", "r3"] and reading(second).landed_before == 2
    assert not land_reviews(home, tmp_path, location=location).new


def test_rows_are_shared_by_a_date_and_a_time_in_two_columns(home: Home, tmp_path: Path) -> None:
    def land_them(header: str, day: int) -> Landing:
        (tmp_path / "all.csv").write_text(f"{header}\nr1,1,20261110,233000\nr2,1,20261110,223000\nr3,1,20261111,\n")
        text = REVIEWS.replace("LOCATION", str(tmp_path / "all.csv")).replace("EXPECTED", "")
        meta = 'join: [ERDAT, ERZET], timezone: Europe/Berlin, time_format: ["%Y%m%d %H%M%S", "%Y%m%d"]'
        path = tmp_path / "staging_reviews.yml"
        path.write_text(text.replace("timestamp, config: {meta: {", f"timestamp, config: {{meta: {{{meta}, "))
        window = Window.parse(f"2026-11-{day:02}", f"2026-11-{day + 1:02}")
        return sources.ingest("reviews", window, home, NOW, contracts={"reviews": read_contract(path)})

    # an hour before Berlin's midnight
    assert ids(home, land_them("review_id,stars,ERDAT,ERZET", 10)) == ["r1", "r2", "r3"]
    assert reading(land_them("review_id,stars,ERDAT,ERZET", 9)).later == 3
    with pytest.raises(Permanent, match="it has no ERZET"):
        land_them("review_id,stars,ERDAT,other", 10)


def test_a_file_a_month_is_shared_by_its_days_and_read_within_lateness(home: Home, tmp_path: Path) -> None:
    (tmp_path / "2026-10.csv").write_text(HEADER + "r1,1,2026-10-31\n")
    (tmp_path / "2026-11.csv").write_text(HEADER + "r2,1,2026-11-01\nr3,1,2026-11-02\n")
    landing = land_reviews(home, tmp_path, "2026-11-01", "2026-11-02", location=f"{tmp_path}/{{year}}-{{month}}.csv")
    assert ids(home, landing) == ["r1", "r2"] and reading(landing).later == 1


def test_a_day_without_a_file_yet_has_no_rows(home: Home, tmp_path: Path) -> None:
    landing = land_reviews(home, tmp_path, location=f"{tmp_path}/{{date}}/*.csv")
    assert landing.records == 0 and landing.manifests[0].columns == ("review_id", "stars", "reviewed_at")


def test_many_rows_are_sorted_as_plain_python_sorts_them(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_TABLE_ROWS", 7)
    signs = ["", "a", "B", "é", "\U0001f642", "\uffff", "~"]
    made = [(signs[n % 7] + str(n % 5), signs[n * 3 % 7], "2026-11-10") for n in range(100)]
    lines = "".join(",".join(row) + "\n" for row in made)
    (tmp_path / "2026-11-10.csv").write_text(HEADER + lines)
    landing = land_reviews(home, tmp_path, location=f"{tmp_path}/{{date}}.csv")
    assert rows(home, landing) == [tuple(text or None for text in row) for row in sorted(made)]
    manifest = landing.manifests[0]
    known = [tuple(text or None for text in row) for row in sorted(made)]
    columns = ("review_id", "stars", "reviewed_at")
    assert manifest.batch_id == bronze.identify("reviews", landing.window, [columns, *known])


def test_rows_that_cannot_be_read_land_as_they_came_and_the_others_as_ever(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    at = b"2026-11-10T09:00:00Z"
    give(
        monkeypatch,
        tmp_path,
        b"\xef\xbb\xbf" + HEADER.encode()
        + b"short,5\r\n"
        + b"caf\xe9,5," + at + b"\r\n"
        + b'broken,"5"5,' + at + b"\n"
        + b"\n"
        + b'"two\nlines",5,' + at + b",,\n"
        + b"long,5," + at + b",more\n"
        + b"good,5," + at + b"\n"
        + b'open,"5,' + at + b"\n"
        + b"last,5," + at,
    )  # fmt: skip
    landing = land_reviews(home, tmp_path)
    assert ids(home, landing)[:3] == ["good", "last", "two\nlines"]
    found = {row["line_number"]: (row["reason"], row["raw"] or row["raw_bytes"]) for row in bad_rows(home, landing)}
    assert found == {
        2: ("ragged_row", "short,5\r\n"),
        3: ("invalid_utf8", b"caf\xe9,5," + at + b"\r\n"),
        4: ("broken_quoting", f'broken,"5"5,{at.decode()}\n'),
        8: ("ragged_row", f"long,5,{at.decode()},more\n"),
        10: ("broken_quoting", f'open,"5,{at.decode()}\n'),
    }
    assert reading(landing).read == 8
    assert "5 rows cannot be read" in "".join(landing.messages)


def test_a_file_of_another_dialect_lands_and_its_bad_rows_keep_their_bytes(home: Home, tmp_path: Path) -> None:
    """Semicolons, single quotes, Windows' encoding, no header line: all of it is said in the contract."""
    (tmp_path / "2026-11-10.csv").write_bytes(
        b"caf\xe9;5;'2026-11-10 09:00';\nb\x81d;5;2026-11-10\n\x80;5\n'it''s';4;2026-11-10\n"
    )
    csv_of = "csv: {delimiter: ';', quote: \"'\", encoding: cp1252, header: [review_id, stars, reviewed_at]}"
    landing = land_reviews(home, tmp_path, location=f"{tmp_path}/{{date}}.csv", expected=f", {csv_of}")
    assert rows(home, landing)[:2] == [("café", "5", "2026-11-10 09:00", None), ("it's", "4", "2026-11-10", None)]
    assert [(row["reason"], row["raw"], row["raw_bytes"], row["line_number"]) for row in bad_rows(home, landing)] == [
        ("invalid_utf8", None, b"b\x81d;5;2026-11-10\n", 2),
        ("ragged_row", "€;5\n", b"\x80;5\n", 3),
    ]


def test_bad_rows_belong_to_their_dates_and_undated_ones_to_the_first_window(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    give(
        monkeypatch,
        tmp_path,
        HEADER + "r1,5,2026-11-10T09:00:00Z\nragged,5,2026-11-11T09:00:00Z,x\nno,5\nsoon,5,tomorrow\n",
    )
    first = land_reviews(home, tmp_path)
    assert ids(home, first)[:2] == ["r1", "soon"]
    assert [row["raw"] for row in bad_rows(home, first)] == ["no,5\n"]
    second = land_reviews(home, tmp_path, "2026-11-11", "2026-11-12")
    assert [row["raw"] for row in bad_rows(home, second)] == ["ragged,5,2026-11-11T09:00:00Z,x\n"]
    assert reading(second).landed_before == 2
    # the same window again is the same batch
    assert not land_reviews(home, tmp_path).new and not land_reviews(home, tmp_path, "2026-11-11", "2026-11-12").new


def test_names_of_bronze_and_names_apart_by_case_are_kept_under_others(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    give(monkeypatch, tmp_path, "review_id,Stars,stars,bad_row,record_no,reviewed_at\nr1,1,2,3,4,2026-11-10\nr2,1\n")
    landing = land_reviews(home, tmp_path)
    manifest = landing.manifests[0]
    assert manifest.columns == ("review_id", "Stars", "stars", "bad_row", "record_no", "reviewed_at")
    assert manifest.renamed == {"Stars": "Stars_2", "bad_row": "bad_row_2", "record_no": "record_no_2"}
    table = pq.read_table(bronze.parquet_files(home, manifest)[0]).to_pylist()
    assert (table[0]["stars"], table[0]["Stars_2"], table[0]["bad_row_2"], table[0]["bad_row"]) == ("2", "1", "3", None)
    assert table[1]["bad_row"]["raw"] == "r2,1\n"


def test_a_row_that_gets_lost_on_the_way_stops_the_landing(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    give(monkeypatch, tmp_path, HEADER + "r1,5,2026-11-10\nr2,5,2026-11-10\n")
    rows_of = files._Taken.rows
    monkeypatch.setattr(files._Taken, "rows", lambda taken: rows_of(taken)[1:])
    with pytest.raises(Permanent, match="2 rows were read, but only 1 would land and 0 are accounted for elsewhere"):
        land_reviews(home, tmp_path)
    assert bronze.list_batches(home) == []


def test_a_line_that_the_parser_loses_stops_the_landing(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    give(monkeypatch, tmp_path, HEADER + "r1,5,2026-11-10\nr2,5,2026-11-10\n")
    monkeypatch.setattr(csv_records, "_LINE", re.compile(rb"(?:review|r1)[^\n]*\n"))
    with pytest.raises(Permanent, match="the file has 3 lines, but 2 were read"):
        land_reviews(home, tmp_path)


def test_a_window_without_a_row_is_an_error_where_some_are_expected(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    give(monkeypatch, tmp_path, HEADER)
    with pytest.raises(Permanent, match="no records of reviews for"):
        land_reviews(home, tmp_path, expected=", expect_records_every: 1 day")
    assert land_reviews(home, tmp_path).manifests[0].records_written == 0


@given(st.lists(st.tuples(st.sampled_from(["", "a", "é", "x,y", 'say "hi"', "two\nlines", "one\rtwo"]), st.text("0123", max_size=2))),
       st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())  # fmt: skip
def test_every_row_that_a_csv_can_hold_is_read(lines: list[tuple[str, str]], end: str, mark: bool) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([("name", "number"), *lines])
    table = csv_records.read((b"\xef\xbb\xbf" if mark else b"") + text.getvalue().encode(), "here")
    found = list(table.records)
    assert [record.fields for record in found] == [(name or None, number or None) for name, number in lines]
    assert not any(record.reason for record in found)


@given(st.lists(st.binary(max_size=12)))
def test_whatever_the_bytes_are_each_is_in_one_record(lines: list[bytes]) -> None:
    body = b"\n".join(lines)
    found = list(csv_records.read(b"a,b\n" + body, "here").records)
    kept = b"".join(record.raw for record in found)
    assert re.sub(rb"[\r\n]", b"", kept) == re.sub(rb"[\r\n]", b"", body)


def test_without_a_file_the_rates_of_the_package_land(home: Home) -> None:
    found = rows(home, land(home, "2020-07-06", "2020-07-07"))
    dollars = {row[0]: row[2] for row in found if row[1] == "USD"}
    # as the bank quoted them; the 4th and 5th were a weekend
    assert dollars == {
        "2020-06-29": "1.1284", "2020-06-30": "1.1198", "2020-07-01": "1.12", "2020-07-02": "1.1286",
        "2020-07-03": "1.1224", "2020-07-06": "1.1325",
    }  # fmt: skip


def test_a_column_a_currency_becomes_a_row_a_currency_of_the_window_and_the_week_before(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    give(monkeypatch, tmp_path, WIDE)
    at = "2026-11-03T15:00:00Z"
    assert rows(home, land(home)) == [("2026-11-02", "USD", "1.2", at), ("2026-11-02", "XYZ", "3", at)]
    assert len(rows(home, land(home, "2026-10-20", "2026-11-04"))) == 6


def test_the_same_rows_in_another_order_are_the_same_batch(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = ["2026-11-02,USD,1.2,2026-11-02T15:00:00Z", "2026-11-02,JPY,175,2026-11-02T15:00:00Z"]
    give(monkeypatch, tmp_path, "\n".join(["rate_date,currency,rate,updated_at", *lines]))
    first = land(home)
    give(monkeypatch, tmp_path, "\ufeff" + "\r\n".join(["rate_date,currency,rate,updated_at", *reversed(lines)]))
    second = land(home)
    assert first.new and not second.new
    assert first.manifests[0].batch_id == second.manifests[0].batch_id


def test_a_zip_is_opened(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = give(monkeypatch, tmp_path, b"", "rates.zip")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("rates.csv", WIDE)
    assert [row[:3] for row in rows(home, land(home))] == [("2026-11-02", "USD", "1.2"), ("2026-11-02", "XYZ", "3")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("a,a\n1,2\n", "the header names a twice"),
        ("rate_date,,rate\n1,2,3\n", "the header has no name for column 2"),
        ("rate_date,currency,quote\n2026-11-02,USD,1\n", "it has no rate; did you mean rate_date"),
        ("rate_date;currency;rate\n2026-11-02;USD;1\n", "it seems to be separated by ';' instead of ','"),
        ("USD,JPY\n1.1,170\n1.2,171\n", "in its first column, USD, does not hold dates"),
        (b"rate_date,\xff\n2026-11-02,1\n", "the header is not CSV in UTF-8"),
        ("rate_date,currency,rate".encode("utf-16"), "starts with the mark of UTF-16, but is read as utf-8"),
        (b"PK\x03\x04 and then nothing of a zip", "starts like a zip"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_table_of_the_contract_is_one_error(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | bytes | None, said: str
) -> None:
    if text is None:
        monkeypatch.setenv("EXCHANGE_RATES", str(tmp_path / "nothing.csv"))
    else:
        give(monkeypatch, tmp_path, text)
    with pytest.raises(Permanent, match=said) as caught:
        land(home)
    assert "\n" not in str(caught.value) and "Next: " in str(caught.value)
    assert bronze.list_batches(home) == []


def test_a_zip_without_a_file_is_one_error(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = give(monkeypatch, tmp_path, b"", "rates.zip")
    with zipfile.ZipFile(path, "w") as archive:
        archive.mkdir("rates")
    with pytest.raises(Permanent, match="the zip holds no file"):
        land(home)


def test_a_table_without_a_day_of_the_event_time_is_one_error(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    give(monkeypatch, tmp_path, "review_id,stars\nr1,5\n")
    with pytest.raises(Permanent, match="it has no reviewed_at"):
        land_reviews(home, tmp_path)


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path != "/rates.csv":
            self.send_error(int(self.path.strip("/")))
            return
        self.send_response(200)
        self.send_header("Last-Modified", "Tue, 03 Nov 2026 15:00:00 GMT")
        self.end_headers()
        self.wfile.write(WIDE.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_address_is_asked(home: Home, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("EXCHANGE_RATES", f"{address}/rates.csv")
    assert rows(home, land(home))[0] == ("2026-11-02", "USD", "1.2", "2026-11-03T15:00:00Z")


@pytest.mark.parametrize(("code", "kind"), [("404", Permanent), ("503", Transient)])
def test_an_address_that_does_not_give_it_says_so(
    home: Home, monkeypatch: pytest.MonkeyPatch, address: str, code: str, kind: type[Exception]
) -> None:
    monkeypatch.setenv("EXCHANGE_RATES", f"{address}/{code}")
    with pytest.raises(kind, match=code):
        land(home)


def test_a_file_that_cannot_be_read_is_a_problem(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert sources.check("exchange_rates", home) == []
    monkeypatch.setenv("EXCHANGE_RATES", str(tmp_path / "gone.csv"))
    (problem,) = sources.check("exchange_rates", home)
    assert (problem.dataset, problem.what) == ("exchange_rates", "the path does not exist")
    # in the words of ingest, which names the nearest source too
    for ask in (lambda: sources.check("exchange_rate", home), lambda: land(home, source="exchange_rate")):
        with pytest.raises(Permanent, match=r"no source 'exchange_rate'; did you mean exchange_rates\?.*name one of"):
            ask()
    monkeypatch.setenv("CLEARWELL_SOURCES", "orders")
    with pytest.raises(Permanent, match="is switched off"):
        sources.check("exchange_rates", home)


def test_the_datasets_of_one_source_enter_a_build_together(home: Home, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(HEADER + "r1,5,2026-11-10T09:00:00Z\n")
    path = tmp_path / "staging_reviews.yml"
    path.write_text(REVIEWS.replace("LOCATION", str(tmp_path / "r.csv")).replace("EXPECTED", ""))
    reviews = read_contract(path)
    contracts = {"reviews": reviews, "opinions": replace(reviews, dataset="opinions")}
    window = Window.parse("2026-11-10", "2026-11-11")
    first, second = sources.ingest("reviews", window, home, NOW, contracts=contracts).manifests
    assert first.snapshot_id == second.snapshot_id is not None
    assert first.snapshot_batches == {"reviews": first.batch_id, "opinions": second.batch_id}
    assert not sources.ingest("reviews", window, home, NOW, contracts=contracts).new
