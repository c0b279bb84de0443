"""docs/engines.md says which models Sail runs, as SQL of Spark over the tables that Spark made, with the same rows.

Sail is a Spark Connect server without Java. It is in an environment of its own: `make .venv-sail/.ready`.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingestion.contract import PROJECT
from ingestion.home import Home
from tests.pipeline.delivery import LINE, ORDER, land_lines, land_rows
from tests.pipeline.test_any_order import make_shop
from tests.spark import servers
from tests.spark.servers import free_port, wait_for
from warehouse import build as warehouse
from warehouse import spark
from warehouse.engines import SPARK
from warehouse.plan import Build, Request

pytestmark = pytest.mark.spark

ROOT = PROJECT.parent
SAIL = ROOT / ".venv-sail" / "bin" / "sail"
NOW = datetime(2026, 11, 20, tzinfo=UTC)
PATIENCE_SECONDS = 120


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    if not SAIL.is_file():
        pytest.skip("`make .venv-sail/.ready` installs it")
    port = free_port()
    with (tmp_path / "sail.log").open("wb") as log:
        process = subprocess.Popen(
            [SAIL, "spark", "server", "--port", str(port)], cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT
        )
        wait_for(process, port, PATIENCE_SECONDS)
        yield f"sc://127.0.0.1:{port}"
        process.kill()
        process.wait()


@pytest.fixture
def built(tmp_path: Path) -> Build:
    """A whole build by Spark, with the SQL and the table of each model."""
    home, shop = Home(tmp_path / "home", tmp_path / "landing"), make_shop(20261104)
    for dataset, columns, rows in (("orders", ORDER, shop.orders), ("order_items", LINE, shop.lines)):
        land_rows(home, dataset, columns, rows, NOW)
    land_lines(home, datetime(2026, 11, 3, tzinfo=UTC), shop.events, NOW)
    planned = warehouse.plan(home, Request(engine=SPARK), NOW)
    assert planned
    warehouse.transform(home, planned.build_id)
    return Build(home, planned.build_id)


def told(build: Build) -> dict[str, object]:
    """Return Spark's settings, the folder of each table, and each model's query."""
    made = spark.made_in(build)
    tables, queries = {}, {}
    for node in json.loads((made / "target" / "manifest.json").read_text())["nodes"].values():
        table = f"{node['schema']}.{node.get('alias')}"
        folder = made / "tables" / node["schema"] / str(node.get("alias"))
        if node["resource_type"] in ("model", "seed") and folder.is_dir():
            tables[table] = str(folder)
        if node["resource_type"] == "model" and folder.is_dir():
            ran = (made / "target" / "run" / "clearwell" / node["original_file_path"]).read_text()
            queries[node["name"]] = (table, ran.split(" as\n", 1)[1])
    return {"settings": servers.settings(), "tables": tables, "queries": queries}


def test_the_page_says_which_models_sail_runs(server: str, built: Build) -> None:
    page = (ROOT / "docs" / "engines.md").read_text().split("### Sail\n")[1].split("\n## ")[0]
    said = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", page, re.MULTILINE))
    done = subprocess.run(
        [spark.python(), Path(__file__).with_name("on_sail.py"), server],
        input=json.dumps(told(built)),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert {name for name, what in found.items() if what != 0} == set(said), found
    assert {name for name, what in found.items() if isinstance(what, int) and what} == set(), "rows differ"
    (equal, models) = map(int, re.search(r"(\d+) of (\d+) models", page).groups())  # type: ignore[union-attr]
    assert (equal, models) == (len(found) - len(said), len(found))
