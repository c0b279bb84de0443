"""Datasets that a page of docs/ and a command add, without a line of SQL for Spark: what Spark builds of them is what DuckDB builds."""

import csv
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingestion.home import Home
from tests.pipeline import checkout as own
from tests.pipeline.checkout import ROOT
from tests.pipeline.test_new_dataset import with_reviews
from tests.spark.test_own_contracts import assert_same

pytestmark = pytest.mark.spark

SOURCES = ("reviews", "gadgets", "places")
DETAILS = ('{"a": 1}', ' [1, {"b": null}]', '{"a":1,"a":2}', "1.50e3", '"\\ud83d\\ude00"', "null", "")
NO_JSON = ("[1,]", '{"a":1}],[2')
BUILDS = """
import shutil
from datetime import UTC, datetime
from pathlib import Path
from ingestion import sources
from ingestion.home import Home
from ingestion.window import Window
from warehouse.build import Request, build

ONE, OTHER = (Home(Path(name).resolve(), Path(name).resolve() / "landing") for name in ("one", "other"))
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)

def land(day):
    for source in ("reviews", "gadgets", "places"):
        sources.ingest(source, Window.parse(f"2026-11-0{day}", f"2026-11-0{day + 1}"), ONE, NOW)

land(1)
build(ONE, Request(), NOW)
shutil.copytree(ONE.root, OTHER.root)
land(2)
shutil.copytree(ONE.root / "bronze", OTHER.root / "bronze", dirs_exist_ok=True)
build(ONE, Request(), NOW.replace(hour=13))
build(OTHER, Request(engine="spark"), NOW.replace(hour=13))
"""
WHOLE = """
from datetime import UTC, datetime
from pathlib import Path
from ingestion.home import Home
from warehouse.build import Request, build
for name, engine in (("one", "duckdb"), ("other", "spark")):
    home = Home(Path(name).resolve(), Path(name).resolve() / "landing")
    build(home, Request(full=True, reason="test", engine=engine), datetime(2026, 11, 20, 14, tzinfo=UTC))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Return a checkout with three more datasets: the page's, and a dated and an undated one that the command wrote."""
    checkout = with_reviews(tmp_path_factory.mktemp("checkout"))
    more = {
        "REVIEWS": str(checkout / "reviews"),
        "GADGETS": str(checkout / "gadgets"),
        "PLACES": str(checkout / "places"),
        "CLEARWELL_SOURCES": ", ".join((*SOURCES, "exchange_rates")),
        "CLEARWELL_SPARK_VENV": str(ROOT / ".venv-spark"),
    }
    for day in (1, 2):
        numbers = range(day * 100, day * 100 + 150)
        write(checkout / "gadgets", day, ["gadget_id", "made_at", "details"], [
            [f"g{number}", f"2026-11-0{day} 10:00:{number % 60:02}", DETAILS[(number + day) % len(DETAILS)]]
            for number in numbers
        ] + [[f"x{number}", f"2026-11-0{day} 10:00:00", text] for number, text in enumerate(NO_JSON)])  # fmt: skip
        write(
            checkout / "places",
            day,
            ["place_id", "label"],
            [[f"p{number}", f"place {number * day}"] for number in numbers],
        )
    answers = own.type_in(
        checkout,
        "clearwell contracts release reviews",
        "clearwell datasets add gadgets --from '${GADGETS}/{date}.csv' --key gadget_id --event-time made_at",
        "clearwell datasets add places --from '${PLACES}/{date}.csv' --key place_id",
        **more,
    )
    assert [status for _, status in answers] == [0, 0, 0], answers
    # the command takes JSON in rows for text
    for path in (checkout / "dbt_project").rglob("*.yml"):
        text = path.read_text()
        if "gadgets" in text:
            path.write_text(
                text.replace("name: details, data_type: varchar", "name: details, data_type: json").replace(
                    "name: details\n            data_type: varchar", "name: details\n            data_type: json"
                )
            )
    (released,) = (checkout / "dbt_project" / "contracts" / "gadgets").iterdir()
    released.unlink()
    (answer,) = own.type_in(checkout, "clearwell contracts release gadgets", **more)
    assert answer[1] == 0, answer
    return checkout, more


def write(folder: Path, day: int, header: list[str], rows: list[list[str]]) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / f"2026-11-0{day}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    # the version of its rows
    os.utime(path, (datetime(2026, 11, day + 1, tzinfo=UTC).timestamp(),) * 2)


def test_new_datasets_are_the_same(environment: tuple[Path, dict[str, str]]) -> None:
    checkout, more = environment
    one, other = (Home(checkout / name, checkout / name / "landing") for name in ("one", "other"))
    own.run(checkout, BUILDS, **more)
    assert_same(one, other)
    shown = own.type_in(
        checkout,
        """clearwell sql --json "select count(details)::int as details, (select count(*)::int from silver.places) as places, """
        """(select count(*)::int from gold.daily_ratings) as ratings from silver.gadgets where json_valid(details)" """,
        """clearwell sql --json "select distinct reasons from records.refused where dataset = 'gadgets'" """,
        **{**more, "CLEARWELL_HOME": str(other.root)},
    )
    # every seventh has no details
    assert '"details": 214' in shown[0][0] and '"places": 250' in shown[0][0], shown
    assert "not_parsed:details" in shown[1][0]
    own.run(checkout, WHOLE, **more)
    assert_same(one, other)
