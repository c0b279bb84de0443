"""SQL that differs by engine is in one folder: no model and no other macro names an engine."""

import re
from pathlib import Path

from ingestion.contract import PROJECT

ENGINE = PROJECT / "macros" / "engine"
NAMES = re.compile(r"target\.(type|name)|adapter\.type|\bspark__|\bspark\b", re.IGNORECASE)
# Models may call what a macro writes; they may not write it themselves.
ONLY_DUCKDB = re.compile(
    r"\basof\b|union all by name|\* (exclude|replace)|time_bucket\(interval|\bstrlen\(|\blambda\b|\bhugeint\b"
)
# They are made by DuckDB also where Spark transforms: see docs/engines.md.
ACCOUNTS = {"plan_judged", "plan_reconciled", "plan_reconciled_amounts"}


def sql_of_models() -> dict[str, str]:
    return {path.stem: path.read_text() for path in (PROJECT / "models").rglob("*.sql")}


def test_no_model_names_an_engine() -> None:
    assert [name for name, sql in sql_of_models().items() if NAMES.search(sql)] == []
    macros = [path for path in (PROJECT / "macros").rglob("*.sql") if ENGINE not in path.parents]
    assert macros and [path.name for path in macros if re.search(r"\bspark__|target\.type", path.read_text())] == []


def test_models_that_spark_makes_have_no_sql_of_duckdb_alone() -> None:
    found = {
        name: match[0]
        for name, sql in sql_of_models().items()
        if name not in ACCOUNTS and (not name.startswith("ops_") or name == "ops_batches")
        if (match := ONLY_DUCKDB.search(re.sub(r"^--.*|\{\{.*?\}\}", "", sql, flags=re.MULTILINE)))
    }
    assert found == {}


def test_each_macro_that_differs_has_a_version_per_engine() -> None:
    sql = "\n".join(path.read_text() for path in (PROJECT / "macros").rglob("*.sql"))
    called = set(re.findall(r"adapter\.dispatch\('(\w+)'\)", sql))
    assert len(called) > 40
    for engine in ("duckdb", "spark"):
        assert called - set(re.findall(rf"macro {engine}__(\w+)\(", sql)) == set()


def test_the_page_lists_every_model_once() -> None:
    page = (Path(PROJECT).parent / "docs" / "engines.md").read_text()
    assert sorted(re.findall(r"^\| `(\w+)` \| (?:Spark|DuckDB) \|", page, re.M)) == sorted(sql_of_models())
