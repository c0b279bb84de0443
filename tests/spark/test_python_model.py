"""A model in Python, as docs/trained-model.md has one: DuckDB makes it in a build on Spark, and the rest is the same."""

import shutil
from pathlib import Path

import pytest

from ingestion.home import Home
from tests.pipeline.checkout import ROOT, run, type_in
from tests.pipeline.test_trained_model import land_shop, with_trained_model
from tests.spark.test_engines import rows_that_differ
from tests.spark.test_new_datasets import WHOLE

pytestmark = pytest.mark.spark


def test_a_whole_build_is_the_same(tmp_path: Path) -> None:
    checkout = with_trained_model(tmp_path)
    one, other = (Home(checkout / name, checkout / "landing") for name in ("one", "other"))
    land_shop(one)
    shutil.copytree(one.bronze, other.bronze)
    run(checkout, WHOLE, CLEARWELL_SPARK_VENV=str(ROOT / ".venv-spark"))
    # this shop's terms are typed in Unicode's decomposed form as well: see docs/engines.md
    assert rows_that_differ(one.state, other.state).keys() <= {"gold.search_terms"}
    assert rows_that_differ(one.published, other.published).keys() <= {"gold.search_terms"}
    (said,) = type_in(
        checkout,
        "clearwell sql --json 'select distinct scored_by from silver.order_scores'",
        CLEARWELL_HOME=str(other.root),
    )
    assert "logistic 2026-11-01" in said[0]
