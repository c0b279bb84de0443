"""Every gold table states its owner, grain and meaning, and none with a date is left out of the restatements."""

import re
from typing import Any

import pytest
import yaml

from ingestion.contract import PROJECT
from warehouse.lineage import read_gold

MODELS: list[dict[str, Any]] = [model for _, model in read_gold()]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model["name"])
def test_it_has_an_owner_a_grain_a_meaning_and_a_question_it_answers(model: dict[str, Any]) -> None:
    meta = model["config"]["meta"]
    assert meta["owner"] and len(model["description"]) > 20
    names = [column["name"] for column in model["columns"]]
    assert meta["grain"] and set(meta["grain"]) <= set(names)
    assert all(column["description"] for column in model["columns"])
    assert f"gold.{model['name'].removeprefix('gold_')}" in meta["dashboard"]


def test_the_readme_lists_every_gold_table() -> None:
    section = (PROJECT.parent / "README.md").read_text().split("## What comes out")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    listed = re.findall(r"`(\w+)`", " ".join(rows))
    assert sorted(listed) == sorted(model["name"].removeprefix("gold_") for model in MODELS)


def test_every_dated_table_is_watched_for_restatements() -> None:
    restated = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]["restated"]
    dated = {
        model["name"].removeprefix("gold_"): model["config"]["meta"]["apply"]["match"]
        for model in MODELS
        if "date" in model["config"]["meta"]
    }
    assert restated == dated
