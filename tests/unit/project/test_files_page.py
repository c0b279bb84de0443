"""Every example of docs/files.md is a contract that is read, and its files land as the page says."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import fastavro
import pyarrow.parquet as pq
import pytest
import yaml

from ingestion import bronze, sources
from ingestion.contract import Contract, read_contract
from ingestion.fields import Fields
from ingestion.file_settings import Files
from ingestion.home import Home
from ingestion.kinds import KINDS
from ingestion.sources import sftp
from ingestion.window import Window
from tests.unit.ingestion.sources.sftp_server import PASSWORD, USER, serving

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "files.md").read_text()
NOW = datetime(2100, 1, 1, tzinfo=UTC)
USUAL = {
    "contract_version": 1,
    "source": "reviews",
    "format": "rows",
    "cadence": "1 day",
    "lateness": "2 days",
    "owner": "us",
}
EXAMPLES = dict(re.findall(r"^### (.*?)\n(.*?)(?=^### |\Z)", PAGE.partition("## Examples")[2], re.M | re.S))
CSV = {title: text for title, text in EXAMPLES.items() if "```csv" in text}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def table(text: str) -> list[list[str]]:
    """Return the cells of an example's table, without its header."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:2] == "| "]
    return rows[1:]


def contract_of(text: str, folder: Path) -> Contract:
    """Write an example's contract as the file that it would be, and read it."""
    (said,) = map(yaml.safe_load, blocks(text, "yaml"))
    columns = []
    for name, meta in said["columns"].items():
        kind = meta.pop("data_type", "varchar")
        columns.append({"name": name, "data_type": kind, "config": {"meta": meta}})
    of_table = {"name": "reviews", "config": {"meta": {**USUAL, **said["meta"]}}, "columns": columns}
    path = folder / "staging_reviews.yml"
    path.write_text(yaml.safe_dump({"sources": [{"name": "bronze", "tables": [of_table]}]}))
    return read_contract(path)


def put_files(text: str, exports: Path, contract: Contract) -> None:
    for name, body in re.findall(r"^`(\S+)`\n\n```csv\n(.*?)^```$", text, re.M | re.S):
        path = exports / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body.encode(contract.settings.csv.encoding))


@pytest.fixture
def exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a folder that is both `${EXPORTS}` and what the connection `partner` reads."""
    folder = tmp_path / "exports"
    folder.mkdir()
    monkeypatch.setenv("EXPORTS", str(folder))
    with serving(folder) as server:
        (block,) = blocks(EXAMPLES["Files of a partner's SFTP server"], "json")
        given = json.loads(block)
        assert given["host"] and given["login"] and given["password"] and given["extra"]["host_key"]
        here = {"host": "127.0.0.1", "port": server.port, "login": USER, "password": PASSWORD}
        monkeypatch.setenv(
            "AIRFLOW_CONN_PARTNER", json.dumps({**given, **here, "extra": {"host_key": server.host_key}})
        )
        yield folder
        sftp.close()


def land(home: Home, contract: Contract, day: str) -> list[dict[str, Any]]:
    start = datetime.fromisoformat(day).replace(tzinfo=UTC)
    window = Window(start, start + timedelta(days=1))
    landing = sources.ingest("reviews", window, home, NOW, contracts={"reviews": contract})
    (manifest,) = landing.manifests
    return [row for path in bronze.parquet_files(home, manifest) for row in pq.read_table(path).to_pylist()]


def test_the_examples_are_found() -> None:
    assert len(EXAMPLES) == 4 and len(CSV) == 3


@pytest.mark.parametrize("title", CSV)
def test_the_files_of_an_example_land_as_its_table_says(title: str, tmp_path: Path, exports: Path) -> None:
    contract = contract_of(CSV[title], tmp_path)
    put_files(CSV[title], exports, contract)
    home = Home(tmp_path / "home", tmp_path / "landing")
    assert not sources.check("reviews", home, {"reviews": contract})
    for day, records, dead in table(CSV[title]):
        found = land(home, contract, day)
        refused = [row["bad_row"]["reason"] for row in found if row.get("bad_row")]
        assert (len(found), len(refused)) == (int(records), int(dead))
        assert all(f"`{reason}`" in CSV[title] for reason in refused)


def test_the_avro_of_the_example_lands_as_the_texts_that_it_shows(tmp_path: Path, exports: Path) -> None:
    text = EXAMPLES["Avro of a data lake"]
    ((_, review_id, stars, reviewed_at),) = table(text)
    (schema,) = map(json.loads, blocks(text, "json"))
    (name,) = re.findall(r"^`(\S+\.avro)`", text, re.M)
    (exports / name).parent.mkdir()
    row = {"review_id": UUID(review_id), "stars": Decimal(stars), "reviewed_at": datetime.fromisoformat(reviewed_at)}
    with (exports / name).open("wb") as file:
        fastavro.writer(file, schema, [row])
    (found,) = land(Home(tmp_path / "home", tmp_path / "landing"), contract_of(text, tmp_path), "2026-11-10")
    assert (found["review_id"], found["stars"], found["reviewed_at"]) == (review_id, stars, reviewed_at)


def test_every_location_on_the_page_is_one_that_a_contract_may_have() -> None:
    """Also those of which a block lists several."""
    before = PAGE.partition("## Examples")[0]
    read = []
    for block in blocks(before, "yaml"):
        rest = re.sub(r"^location: .*\n", "", block, flags=re.M)
        for location in re.findall(r"^location: .*$", block, re.M):
            meta = {"source": "reviews", "format": "rows", **yaml.safe_load(location), **(yaml.safe_load(rest) or {})}
            read.append(KINDS["file"].settings(Fields(meta, Path("staging_reviews.yml"), "reviews"), []))
    assert len(read) > 8 and all(isinstance(one, Files) for one in read)
