"""The table of ratios: what a row looks like, and what follows from gold that differs. The rows themselves take minutes."""

from contextlib import nullcontext
from datetime import date
from pathlib import Path

import duckdb
import pytest

from bench import rows, run
from bench.peers.tables import GOLD
from bench.processes import ROOT, Used
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
    rows.compare(tmp_path / "a.duckdb", tmp_path / "b.duckdb", ["visits"])
    with pytest.raises(SystemExit) as exited:
        rows.compare(tmp_path / "a.duckdb", tmp_path / "c.duckdb")
    assert exited.value.code == 1
    said = capfd.readouterr().out.splitlines()
    assert said[:2] == ["all 1 gold tables are equal", "visits: equal"] and said[2].startswith("visits: rows only in")


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


class _Shop:
    """Pretends to run Clearwell in 2 seconds, and a peer in 10."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def simulate(self, *_: object) -> None:
        self.ran.append("simulate")

    def run_day(self, home: Path, day: date) -> Used:
        self.ran.append("clearwell run")
        return Used(2, 4, 300)

    def peer(self, python: Path, module: str, day: date, out: Path) -> Used:
        self.ran.append(f"{python} {module}")
        return Used(10, 8, 1200)


def test_peers_take_turns_with_clearwell_and_are_compared_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shop, compared = _Shop(), []
    monkeypatch.setattr(run.signal, "signal", lambda *_: None)
    monkeypatch.setattr(rows.Bench, "shop", lambda bench: nullcontext(shop))
    monkeypatch.setattr(rows.install, "python_of", lambda folder: folder / "python")
    monkeypatch.setattr(rows, "compare", lambda first, second, only: compared.append((first.stem, list(only))))
    venv = ["--peers-venv", str(tmp_path)]
    run.main(["--only", "peers", "--peers", "polars", "pyspark", "--rounds", "2", *venv])
    polars, pyspark = f"{tmp_path}/python with_polars", f"{tmp_path}/python with_pyspark"
    assert shop.ran == ["simulate", *["clearwell run", polars, pyspark] * 2]
    assert compared == [(name, list(GOLD)) for name in ("polars", "pyspark")]
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [(line[4], line[5], *line[7:10]) for line in lines] == [
        (name, *figures)
        for name in ("polars:", "pyspark:")
        for figures in (
            ("wall", "10.0", "2.00", "0.20x"),
            ("CPU", "8.00", "4.00", "0.50x"),
            ("peak", "1,200", "300", "0.25x"),
        )
    ]


def test_every_peer_is_a_module() -> None:
    for peer in rows.PEERS.values():
        path = ROOT / "bench" / "peers" / Path(*peer.module.split("."))
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists()
