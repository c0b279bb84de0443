"""The version changes with what tables are made from, and with nothing else."""

import shutil
from pathlib import Path

import pytest

from ingestion.contract import PROJECT
from warehouse.version import model_version


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PROJECT, tmp_path / "project", ignore=shutil.ignore_patterns("target", "logs")))


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))


def test_a_copy_has_the_same_version(project: Path) -> None:
    assert model_version(project) == model_version(PROJECT)


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("models/silver/silver_daily_sales.sql", "is_counted", "not is_counted"),
        ("models/staging/staging_orders.yml", "2 days", "3 days"),
        ("macros/money.sql", "sum(quantity)", "sum(-quantity)"),
    ],
)
def test_what_makes_tables_is_in_it(project: Path, file: str, before: str, after: str) -> None:
    edit(project / file, before, after)
    assert model_version(project) != model_version(PROJECT)


def test_remarks_and_checks_are_not_in_it(project: Path) -> None:
    edit(project / "models/gold/gold_daily_revenue.yml", "{{ doc('order_date') }}", "The day.")
    edit(project / "models/gold/gold.md", "Number of", "How many")
    edit(project / "models/gold/gold_daily_revenue.yml", "      - net_is_gross_less_refunded\n", "")
    (project / "tests" / "more.sql").write_text("select 1 where false")
    assert model_version(project) == model_version(PROJECT)
