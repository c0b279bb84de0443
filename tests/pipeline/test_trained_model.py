"""Follow docs/trained-model.md in a separate checkout: another score behind the same model, and nothing else changes."""

import csv
import io
import json
import math
import tempfile
from pathlib import Path

from ingestion.home import Home
from tests.pipeline.checkout import ROOT, blocks, make_checkout, type_in
from tests.pipeline.delivery import land_lines, land_rows
from tests.pipeline.test_meaning import COLUMNS, LANDED, NOW, make_events, make_shop

PAGE = (ROOT / "docs" / "trained-model.md").read_text()
SEED = dict(blocks(PAGE))["dbt_project/seeds/fraud_weights.csv"]


def test_a_model_takes_the_place_of_the_rules(tmp_path: Path) -> None:
    compiled = Path(tempfile.gettempdir()) / "__pycache__"
    before = {*compiled.glob("*")}
    checkout = with_trained_model(tmp_path)
    land_shop(Home(checkout / "data", checkout / "landing"))
    _, features, scores, risk, *_ = said = type_in(
        checkout,
        "clearwell build",
        'clearwell sql --json "from silver.order_features"',
        'clearwell sql --json "from silver.order_scores"',
        'clearwell sql --json "from gold.order_risk"',
        "clearwell hash --json",
        "clearwell build --full --reason test",
        "clearwell hash --json",
    )
    assert [status for _, status in said] == [0] * len(said), said
    expected = {row["order_id"]: score(row) for row in json.loads(features[0])}
    found = json.loads(scores[0])
    assert {row["order_id"]: (row["score"], row["reasons"]) for row in found} == expected
    assert {row["scored_by"] for row in found} == {"logistic 2026-11-01"}
    risky = {name for name, (points, _) in expected.items() if points >= 50}
    assert {row["order_id"] for row in json.loads(risk[0])} == risky and 0 < len(risky) < len(expected)
    assert said[4] == said[6], "a full build from bronze ends in the same hashes"
    assert {*compiled.glob("*")} == before, "dbt leaves compiled code of the model behind"


def with_trained_model(folder: Path) -> Path:
    """Return a checkout with the model of the page."""
    checkout = make_checkout(folder, PAGE)
    (checkout / "dbt_project" / "models" / "silver" / "silver_order_scores.sql").unlink()
    return checkout


def land_shop(home: Home) -> None:
    for dataset, rows in make_shop(3).items():
        land_rows(home, dataset, COLUMNS[dataset], rows, NOW)
    land_lines(home, LANDED, [json.dumps(event) for event in make_events(3)], NOW)


def score(row: dict) -> tuple[int, list[str]]:
    """Compute the regression again, as the page describes it."""
    weights = {one["feature"]: float(one["weight"]) for one in csv.DictReader(io.StringIO(SEED))}
    parts = {
        "order_amount_usd": weights["order_amount_usd"] * float(row["order_amount_usd"]),
        "orders_last_day": weights["orders_last_day"] * (row["orders_last_day"] or 0),
        "visitor_accounts": weights["visitor_accounts"] * row["visitor_accounts"],
        "is_abroad": weights["is_abroad"] * (row["customer_country"] not in (None, row["country"])),
    }
    total = weights["intercept"] + math.fsum(parts.values())
    chance = 1 / (1 + math.exp(-total)) if abs(total) < 500 else float(total > 0)
    return round(100 * chance), sorted((name for name in parts if parts[name] > 1), key=lambda name: -parts[name])
