"""Whatever differs between two files of gold tables is found."""

import sys
from pathlib import Path

import duckdb
import pytest

from bench import values

GOLD = """
    create schema gold; create schema silver;
    create table gold.revenue as select * from (values (date '2026-11-01', 'DE', 1.50), (date '2026-11-01', null, 2.00)) as t (day, country, amount);
    create table gold.visits as select 7 as visits from range(2);
    create table silver.orders as select 1 as one
"""


def file(path: Path, *changes: str) -> Path:
    with duckdb.connect(str(path)) as db:
        for statement in (GOLD, *changes):
            db.execute(statement)
    return path


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("update gold.revenue set amount = 1.51 where country = 'DE'", ["revenue: rows only in A: 1, only in B: 1"]),
        ("update gold.revenue set country = 'ZZ' where country is null", ["revenue: rows only in A: 1, only in B: 1"]),
        ("delete from gold.revenue where country = 'DE'", ["revenue: rows only in A: 1, only in B: 0"]),
        (
            "insert into gold.revenue from gold.revenue where country is null",
            ["revenue: rows only in A: 0, only in B: 1"],
        ),
        ("insert into gold.visits values (7)", ["visits: rows only in A: 0, only in B: 1"]),
        ("drop table gold.visits", ["visits: only in A"]),
        ("create table gold.other as select 1 as one", ["other: only in B"]),
        ("alter table gold.visits alter visits type bigint", ["visits: other columns or types: visits"]),
        ("alter table gold.visits rename visits to views", ["visits: other columns or types: views, visits"]),
        ("drop table silver.orders", []),
        (
            "create or replace table gold.revenue as select amount, day, country from gold.revenue order by amount desc",
            [],
        ),
    ],
)
def test_a_change_is_found(change: str, found: list[str], tmp_path: Path) -> None:
    first, second = file(tmp_path / "first.duckdb"), file(tmp_path / "second.duckdb", change)
    said = [line.replace(str(first), "A").replace(str(second), "B") for line in values.differences(first, second)]
    assert said == found


def test_nothing_is_not_equal_to_nothing(tmp_path: Path) -> None:
    empty = [file(tmp_path / name, "drop schema gold cascade") for name in ("a.duckdb", "b.duckdb")]
    assert values.differences(*empty) == ["there are no gold tables"]


def test_only_some_tables_are_compared(tmp_path: Path) -> None:
    first = file(tmp_path / "first.duckdb", "create table gold.other as select 1 as one")
    second = file(tmp_path / "second.duckdb", "update gold.visits set visits = 8")
    assert values.differences(first, second, ["revenue"]) == []
    assert values.differences(first, second, ["revenue", "visits"]) == [
        f"visits: rows only in {first}: 2, only in {second}: 2"
    ]
    assert values.differences(first, second, ["other"]) == [f"other: only in {first}"]
    assert values.differences(first, second, ["nowhere"]) == ["nowhere: in neither file"]


def test_the_exit_status_says_whether_they_are_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, same = file(tmp_path / "first.duckdb"), file(tmp_path / "same.duckdb")
    other = file(tmp_path / "other.duckdb", "drop table gold.visits")
    for second, only, status in ((same, [], 0), (other, [], 1), (other, ["--only", "revenue"], 0)):
        monkeypatch.setattr(sys, "argv", ["values", str(first), str(second), *only])
        with pytest.raises(SystemExit) as exited:
            values.main()
        assert exited.value.code == status
    assert capsys.readouterr().out == f"all 2 gold tables are equal\nvisits: only in {first}\nrevenue: equal\n"
