"""How a result is printed: as a table of limited size, or as CSV and JSON of any size; and how printing ends early."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner, Result

from cli.main import main
from ingestion.home import Home
from warehouse import state

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    root = tmp_path_factory.mktemp("home")
    home = Home(root, root / "landing")
    with state.connect(home.state, read_only=False) as connection:
        connection.execute("create table numbers as select range as n, 'o-' || range as name from range(300)")
    return home


@pytest.fixture
def asked(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("CLEARWELL_HOME", str(home.root))
    monkeypatch.delenv("COLUMNS", raising=False)
    return home


def sql(*words: str) -> Result:
    shown = CliRunner().invoke(main, ["sql", *words])
    assert shown.exit_code == 0, shown.output
    return shown


@pytest.mark.parametrize(("more", "rows"), [([], 200), (["--limit", "3"], 3), (["--limit", "300"], 300)])
def test_a_terminal_is_given_the_first_rows(
    asked: Home, monkeypatch: pytest.MonkeyPatch, more: list[str], rows: int
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = sql("from numbers order by n", *more)
    lines = shown.stdout.splitlines()[2:]
    assert [line.split() for line in lines] == [[str(n), f"o-{n}"] for n in range(rows)]
    assert shown.stderr.startswith(f"asked {asked.state}\n")
    assert (f"the first {rows} rows; --limit N shows more" in shown.stderr) is (rows < 300)


def test_a_pipe_is_given_every_row_or_told_how_to_get_them(asked: Home) -> None:
    assert len(sql("from numbers").stdout.splitlines()) == 302
    shown = CliRunner().invoke(main, ["sql", "from range(10001)"])
    assert shown.exit_code == 1
    assert shown.output == (
        "error: the result has more than 10,000 rows. Next: add --csv or --json, which print any number of rows, or --limit N\n"
    )


@pytest.mark.parametrize(("more", "rows"), [([], 300), (["--limit", "7"], 7)])
def test_csv_and_json_hold_every_row_and_nothing_else(asked: Home, more: list[str], rows: int) -> None:
    query = "select n, name, n = 1 as is_one, nullif(n, 2) as m, 'a\"b,\n' as odd from numbers order by n"
    shown = sql("--json", query, *more)
    assert shown.stderr == "" and json.loads(shown.stdout) == [
        {"n": n, "name": f"o-{n}", "is_one": n == 1, "m": None if n == 2 else n, "odd": 'a"b,\n'} for n in range(rows)
    ]
    shown = sql("--csv", query, *more)
    assert shown.stderr == "" and list(csv.reader(io.StringIO(shown.stdout))) == [
        ["n", "name", "is_one", "m", "odd"],
        *([str(n), f"o-{n}", str(n == 1).lower(), "" if n == 2 else str(n), 'a"b,\n'] for n in range(rows)),
    ]


def test_no_rows_are_an_empty_array_and_a_header(asked: Home) -> None:
    assert sql("--json", "from numbers where false").stdout == "[]\n"
    assert sql("--csv", "from numbers where false").stdout == "n,name\n"


def start(home: Home, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cli", *words],
        env=os.environ | {"PYTHONPATH": str(ROOT), "CLEARWELL_HOME": str(home.root)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("words", [("--csv", "from range(100000)"), ("--json", "from range(10)"), ("from range(10)",)])
def test_a_closed_pipe_ends_it_quietly(asked: Home, words: tuple[str, ...]) -> None:
    with start(asked, "sql", *words) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 141
    assert said == ("" if len(words) > 1 else f"asked {asked.state}\n")


def test_ctrl_c_ends_it_in_one_line(asked: Home) -> None:
    # the query never ends; it has begun once the process has the state open
    with start(asked, "sql", "--json", "select count(*) from numbers, range(10000000000000)") as process:
        assert process.stderr
        beginning = psutil.Process(process.pid)
        while str(asked.state) not in [one.path for one in beginning.open_files()]:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert (process.returncode, said) == (130, "stopped\n")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("from nothing", "Next: correct the name: `clearwell sql 'show all tables'` lists the tables"),
        ("select x from numbers", "Next: correct the query; clearwell sql 'describe SCHEMA.TABLE'"),
        ("select 1 +", "syntax error at end of input. Next: correct the query: it must be one SELECT\n"),
        ("select name::int from numbers", "Next: correct the query\n"),
        ("delete from numbers", "Next: type one SELECT over the state's own tables"),
    ],
)
def test_what_is_said_next_fits_the_error(asked: Home, query: str, said: str) -> None:
    shown = CliRunner().invoke(main, ["sql", query])
    assert shown.exit_code == 1 and said in shown.output and "LINE 1" not in shown.output


def test_a_home_without_a_state_is_told_what_fills_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARWELL_HOME", str(tmp_path))
    for way in ("clearwell run --from DATE --to DATE", "clearwell build"):
        for words in (["sql", "select 1"], ["hash"], ["trace", "o-1"]):
            assert (
                CliRunner()
                .invoke(main, words)
                .output.endswith(f"there is no state yet ({tmp_path}/warehouse.duckdb). Next: {way}\n")
            )
        (tmp_path / "bronze").mkdir(exist_ok=True)
