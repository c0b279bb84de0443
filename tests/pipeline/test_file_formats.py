"""The reviews of docs/new-dataset.md as other partners would send them: whatever the files are, gold is what the page shows."""

import csv
import gzip
import io
import json
import os
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.pipeline import checkout as own
from tests.pipeline.checkout import ROOT, make_checkout

PAGE = (ROOT / "docs" / "new-dataset.md").read_text()
COLUMNS = ("review_id", "product_id", "stars", "comment", "reviewed_at", "updated_at")
Rows = list[dict[str, str]]


def days() -> dict[str, Rows]:
    """Return the rows of the page's files, by their dates, under the contract's names."""
    found = re.findall(r"`reviews/(\S+)\.csv`\n\n```csv\n(.*?)```", PAGE, re.DOTALL)
    assert len(found) == 2
    return {
        day: [dict(zip(COLUMNS, row, strict=True)) for row in list(csv.reader(io.StringIO(text)))[1:]]
        for day, text in found
    }


def as_semicolons(folder: Path, day: str, rows: Rows) -> None:
    """A file a day and product, compressed, in the encoding of a Windows office, without a header line."""
    for product in {row["product_id"] for row in rows}:
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=";", quotechar="'", quoting=csv.QUOTE_ALL)
        writer.writerows(row.values() for row in rows if row["product_id"] == product)
        (folder / f"{day.replace('-', '')}_{product}.csv.gz").write_bytes(
            gzip.compress(text.getvalue().encode("cp1252"))
        )


def as_parquet(folder: Path, day: str, rows: Rows) -> None:
    """A folder a day, of whole numbers and times with a zone."""
    (folder / f"dt={day}").mkdir()
    moments = pa.timestamp("us", "UTC")
    columns = {name: pa.array([row[name] for row in rows]) for name in COLUMNS}
    columns["stars"] = pa.array([int(row["stars"]) for row in rows])
    for name in ("reviewed_at", "updated_at"):
        texts = pa.array([row[name].replace("Z", "+00:00") for row in rows])
        columns[name] = texts.cast(moments)
    table = pa.table(columns)
    pq.write_table(table.slice(0, 1), folder / f"dt={day}" / "part-0.parquet")
    pq.write_table(table.slice(1), folder / f"dt={day}" / "part-1.parquet")


def as_avro(folder: Path, day: str, rows: Rows) -> None:
    """A folder a day, of whole numbers and times in microseconds, in blocks of a record each."""
    (folder / f"dt={day}").mkdir()
    times = {"type": "long", "logicalType": "timestamp-micros"}
    kinds = {**dict.fromkeys(COLUMNS, "string"), "stars": "int", "reviewed_at": times, "updated_at": times}
    fields = [{"name": name, "type": kind} for name, kind in kinds.items()]
    records = [
        {
            **row,
            "stars": int(row["stars"]),
            **{name: datetime.fromisoformat(row[name]) for name in ("reviewed_at", "updated_at")},
        }
        for row in rows
    ]
    path = folder / f"dt={day}" / "part-0.avro"
    with path.open("wb") as file:
        schema = {"type": "record", "name": "review", "fields": fields}
        fastavro.writer(file, schema, records, codec="deflate", sync_interval=1)
    os.utime(path, (0, 0))  # one that is seconds old may be half written: nothing in it says where it ends


def as_lines(folder: Path, day: str, rows: Rows) -> None:
    """A folder a day and hour, of JSON lines."""
    for number, row in enumerate(rows):
        hour = folder / day / f"{number:02d}"
        hour.mkdir(parents=True)
        line = json.dumps({**row, "stars": int(row["stars"])}).encode() + b"\n"
        (hour / "part.json.gz").write_bytes(gzip.compress(line))


CASES: dict[str, tuple[Callable[[Path, str, Rows], None], str, str]] = {
    "csv": (
        as_semicolons,
        "rows",
        '"${REVIEWS}/csv/{year}{month}{day}_*.csv.gz", csv: {delimiter: ";", quote: "\'", encoding: cp1252, header: ['
        + ", ".join(COLUMNS)
        + "]}",
    ),
    "parquet": (as_parquet, "rows", '"${REVIEWS}/parquet/dt={date}/*.parquet"'),
    "avro": (as_avro, "rows", '"${REVIEWS}/avro/dt={date}/*.avro"'),
    "lines": (as_lines, "json_lines", '"${REVIEWS}/lines/{date}/{hour}/*"'),
}


def page_of(case: str) -> str:
    """Return the page for a dataset of its own, with its own models, whose files are of another form."""
    _, form, location = CASES[case]
    page = PAGE.replace('"${REVIEWS}/{date}.csv"', location).replace(
        "source: reviews, format: rows", f"source: reviews_{case}, format: {form}"
    )
    page = re.sub(r", from: (Review ID|\[Stars[^\]]*\])", "", page)
    assert location in page and f"format: {form}" in page and "from: " not in page.split("## 2.")[0].split("```yaml")[1]
    page = page.replace("plan_review_dates", f"plan_{case}_dates").replace("daily_ratings", f"daily_ratings_{case}")
    page = re.sub(r"(?<=_)reviews\b|(?<=\(')reviews(?=')|(?<== ')reviews(?=')", f"reviews_{case}", page)
    return page.replace("- name: reviews\n", f"- name: reviews_{case}\n").replace("`reviews/", f"`{case}/")


# What each partner's table of gold, ledger and dead letters hold.
Shown = dict[str, tuple[list[dict[str, Any]], ...]]


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """Follow the page for all partners in one checkout, and return what the commands of each show."""
    root = make_checkout(tmp_path_factory.mktemp("checkout"), "\n".join(page_of(case) for case in CASES))
    project = root / "dbt_project" / "dbt_project.yml"
    datasets = "".join(f"reviews_{case}, " for case in CASES)
    restated = "".join(f"    daily_ratings_{case}: plan_{case}_dates\n" for case in CASES)
    text = project.read_text().replace("  datasets: [", f"  datasets: [{datasets}")
    project.write_text(text.replace("  restated:\n", f"  restated:\n{restated}"))
    files = tmp_path_factory.mktemp("files")
    for case, (write, _, _) in CASES.items():
        (files / case).mkdir()
        for day, rows in days().items():
            write(files / case, day, rows)
    *done, letters, recount = own.type_in(
        root,
        *(f"clearwell contracts release reviews_{case}" for case in CASES),
        "clearwell contracts check",
        *(f"clearwell ingest reviews_{case} --from 2026-11-01 --to 2026-11-03" for case in CASES),
        "clearwell build",
        *(f'clearwell sql --json "from gold.daily_ratings_{case} order by all"' for case in CASES),
        *(f"clearwell ledger --dataset reviews_{case} --json" for case in CASES),
        "clearwell dead-letters list --json",
        "clearwell ledger --recount",
        REVIEWS=str(files),
    )
    assert [status for _, status in [*done, letters, recount]] == [0] * (len(done) + 2), done
    shown = [json.loads(text) for text, _ in done[-2 * len(CASES) :]]
    gold, ledger = shown[: len(CASES)], shown[len(CASES) :]
    refused = [[row for row in json.loads(letters[0]) if row["dataset"] == f"reviews_{case}"] for case in CASES]
    return dict(zip(CASES, zip(gold, ledger, refused, strict=True), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_gold_is_what_the_page_shows_whatever_the_files_are(case: str, followed: Shown) -> None:
    gold, ledger, letters = followed[case]
    shown = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line[:2] == "| "]
    assert [list(gold[0]), *([str(value) for value in row.values()] for row in gold)] == shown
    assert [row["reasons"] for row in letters] == ["out_of_range:stars"]
    (counts,) = ledger
    assert [counts[name] for name in ("bronze", "current", "superseded", "dead_letter")] == [6, 4, 1, 1]
