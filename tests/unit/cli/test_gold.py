"""describe and show, over a small published file."""

import json
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from cli.main import main


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARWELL_HOME", str(tmp_path))
    (tmp_path / "published").mkdir()
    with duckdb.connect(str(tmp_path / "published" / "warehouse.duckdb")) as made:
        made.execute("""
            create schema gold; create schema ops;
            create table ops.builds (build_id varchar);
            create table gold.daily_revenue as
                select date '2026-11-01' + i::integer as order_date, 'DE' as country, 'EUR' as currency, i as orders,
                    (i * 1000.5)::decimal(38, 4) as net_usd, 0::decimal(38, 4) as tax_usd
                from range(1, 3) as numbers (i);
            comment on table gold.daily_revenue is 'One row per order date, country and currency.';
            comment on column gold.daily_revenue.net_usd is 'Dollars.'
        """)


def ask(*words: str) -> tuple[int, str]:
    answer = CliRunner().invoke(main, words)
    return answer.exit_code, answer.output


def test_describe_lists_the_tables() -> None:
    code, told = ask("describe")
    assert code == 0 and "gold.daily_revenue" in told and "ops.builds" in told
    assert told.index("gold.") < told.index("ops.")
    listed = json.loads(ask("describe", "--json")[1])
    assert [(one["name"], one["rows"]) for one in listed] == [("gold.daily_revenue", 2), ("ops.builds", 0)]


@pytest.mark.parametrize("name", ["daily_revenue", "gold.daily_revenue"])
def test_describe_tells_what_a_table_is(name: str) -> None:
    code, told = ask("describe", name)
    assert code == 0
    for part in (
        "2 rows",
        "One row per order date",
        "owner: finance-team",
        "decimal(38,4)",
        "Dollars.",
        "dashboard: select",
    ):
        assert part in told, part


def test_show_draws_the_dashboard() -> None:
    code, told = ask("show", "daily_revenue")
    assert code == 0 and "2,001.00" in told and "█" in told and "order_date" in told
    assert len(json.loads(ask("show", "daily_revenue", "--json")[1])) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("describe", "daily_revenu"), "did you mean 'daily_revenue'"),
        (("show", "builds"), "ops.builds has no dashboard query"),
        (("show", "nothing"), "there is no published table 'nothing'"),
    ],
)
def test_what_is_not_there_is_one_line(words: tuple[str, ...], said: str) -> None:
    code, told = ask(*words)
    assert code == 1 and said in told and "Next: clearwell describe" in told and told.count("\n") == 1


def test_before_the_first_build_it_says_what_to_type(tmp_path: Path) -> None:
    (tmp_path / "published" / "warehouse.duckdb").unlink()
    code, told = ask("describe")
    assert code == 1 and "nothing is published yet" in told and "clearwell build" in told
