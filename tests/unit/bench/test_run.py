"""The table of ratios: what a row looks like, and what follows from gold that differs. The rows themselves take minutes."""

from pathlib import Path

import duckdb
import pytest

from bench import rows, run
from bench.rows import Row


def test_a_row_has_figures_ratio_and_reach() -> None:
    assert str(Row("CPU s", 76.04, 16.02, "<= 2.0x")).split() == [
        "CPU",
        "s",
        "16.0",
        "76.0",
        "4.75x",
        "reach",
        "<=",
        "2.0x",
    ]
    assert str(Row("wall s", 0.1234)).split() == ["wall", "s", "0.12"]
    assert str(Row("peak MB", 3370.4, 1470)).split() == ["peak", "MB", "1,470", "3,370", "2.29x"]


def test_gold_that_differs_ends_the_measurement(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name, value in (("a", 1), ("b", 1), ("c", 2)):
        with duckdb.connect(str(tmp_path / f"{name}.duckdb")) as db:
            db.execute(f"create schema gold; create table gold.visits as select {value} as visits")
    rows.compare(tmp_path / "a.duckdb", tmp_path / "b.duckdb")
    with pytest.raises(SystemExit) as exited:
        rows.compare(tmp_path / "a.duckdb", tmp_path / "c.duckdb")
    assert exited.value.code == 1
    said = capfd.readouterr().out.splitlines()
    assert said[0] == "all 1 gold tables are equal" and said[1].startswith("visits: rows only in")


def test_the_slow_rows_are_not_measured_unless_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run.signal, "signal", lambda *_: None)
    for name in run.ROWS:
        monkeypatch.setitem(run.ROWS, name, lambda bench, name=name: iter([Row(name, bench.options.rounds)]))
    run.main(["--rounds", "5"])
    assert [line.split() for line in capsys.readouterr().out.splitlines()[1:]] == [
        [name, "5.00"] for name in run.ROWS if name not in rows.SLOW
    ]
    run.main(["--only", "backfill", "help"])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == ["backfill", "help"]
