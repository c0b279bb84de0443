"""The commands of the fixed interface exist, explain themselves, and turn errors into one line with the next step."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cli.main import main
from tests.unit.cli.commands import COMMANDS, GROUPS, members

# docs and users' scripts rely on these
INTERFACE = """
demo | shop start | shop stop | shop simulate | ingest | build | run | status | ledger | hash | sql | trace | heal | repair
batches list | batches show | batches retract | batches restore
dead-letters list | dead-letters show | dead-letters resubmit | dead-letters discard | dead-letters suggest
builds list | builds restore | builds unpin | builds accept | contracts check | contracts release | contracts try
"""


def test_the_fixed_commands_are_there() -> None:
    assert {tuple(name.split()) for name in INTERFACE.strip().replace("\n", " | ").split(" | ")} <= set(COMMANDS)


# airflow passes every word on, --help as well
@pytest.mark.parametrize("path", [*GROUPS, *sorted(set(COMMANDS) - {("airflow",)})], ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(main, [*path, "--help"])
    assert shown.exit_code == 0 and "Usage:" in shown.output
    for word, one in COMMANDS.items():
        if word[: len(path)] == path and len(word) == len(path) + 1:
            assert f"  {word[-1]} " in shown.output and one.help
    for one in COMMANDS[path].params if path in COMMANDS else []:
        assert not isinstance(one, click.Option) or (one.opts[0] in shown.output and (one.help or one.show_default))


def test_the_help_fits_80_columns_and_imports_nothing_that_commands_need() -> None:
    script = "import sys; from cli.main import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    *lines, modules = shown.splitlines()
    said = lines[lines.index("Commands:") + 1 :]
    assert len(said) == len(list(members(main))) and not [line for line in said if len(line) > 80 or "..." in line]
    assert "click" in modules.split()
    assert not {"cli.status", "duckdb", "pyarrow", "psycopg", "dbt", "rich"} & set(modules.split())


def test_garbage_is_not_looked_for_when_the_process_ends() -> None:
    script = "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 999))\nimport cli.main"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == (
        "True\n"
    )


def test_a_misspelled_command_is_recognised() -> None:
    shown = CliRunner().invoke(main, ["staus"])
    assert shown.exit_code == 2 and "Did you mean 'status'?" in shown.output


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["batches", "retract", "nothing", "--reason", "r"], "there is no batch nothing"),
        (["batches", "restore", "nothing"], "there is no batch nothing"),
        (["dead-letters", "discard", "a:1", "--reason", "r"], "a:1 is not a dead letter"),
        (["builds", "accept", "held:x", "--reason", "r"], "there is no open finding held:x"),
        (["builds", "restore", "x", "--reason", "r"], "the state of build x is not kept"),
        (["builds", "unpin"], "nothing is pinned"),
        (["trace", "o-1"], "there is no state yet"),
        (["ingest", "clickstream", "--from", "2026-11-02", "--to", "2026-11-01"], "Next:"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_error_is_one_line_and_no_traceback(
    command: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLEARWELL_HOME", str(tmp_path))
    shown = CliRunner().invoke(main, command)
    assert shown.exit_code == 1 and shown.output.startswith("error: ") and shown.output.count("\n") == 1
    assert said in shown.output


def test_an_unexpected_error_is_told_by_its_place_and_not_by_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("ann.lee@shop.example")

    monkeypatch.setattr("cli.ledger.Home.from_environment", fail)
    shown = CliRunner().invoke(main, ["hash"])
    assert shown.exit_code == 1 and "ann.lee" not in shown.output.replace('raise ValueError("ann.lee', "")
    assert "test_main.py" in shown.output and "an unexpected ValueError. Next: run it again with" in shown.output
    assert isinstance(CliRunner().invoke(main, ["--debug", "hash"]).exception, ValueError)


def test_a_mistyped_option_is_told_where_logs_are_structured_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARWELL_LOG", "json")
    shown = CliRunner().invoke(main, ["hash", "--nothing"])
    assert shown.exit_code == 2 and "No such option" in shown.output


def test_a_decision_asks_for_a_reason(tmp_path: Path) -> None:
    shown = CliRunner().invoke(main, ["batches", "retract", "x"], env={"CLEARWELL_HOME": str(tmp_path)})
    assert shown.exit_code == 2 and "--reason" in shown.output


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("2026-11-02", "2026-11-01", "is empty"),
        ("someday", "2026-11-01", "is not a date"),
        ("2199-01-01", "2199-01-02", "lies in the future"),
        (
            "2026-11-01",
            "2026-11-02",
            "no source has records before 2026-11-02T00:00:00Z: clickstream begins at 2026-11-05",
        ),
    ],
)
def test_a_window_that_cannot_be_meant_is_one_error_before_any_work(
    start: str, end: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, landing = tmp_path / "home", tmp_path / "landing"
    (landing / "2026-11-05" / "00").mkdir(parents=True)
    monkeypatch.setenv("CLEARWELL_HOME", str(home))
    monkeypatch.setenv("CLICKSTREAM_LANDING", str(landing))
    shown = CliRunner().invoke(main, ["run", "--from", start, "--to", end])
    assert shown.exit_code == 1 and shown.output.count("\n") == 1 and ". Next: " in shown.output
    assert said in shown.output
    assert not home.exists()


def test_a_command_logs_lines_of_json_with_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARWELL_HOME", str(tmp_path))
    monkeypatch.setenv("CLEARWELL_LOG", "json")
    (tmp_path / "landing" / "clickstream" / "2026-11-01" / "03").mkdir(parents=True)
    (tmp_path / "landing" / "clickstream" / "2026-11-01" / "03" / "a.jsonl").write_text("{}\n")
    window = ["--from", "2026-11-01T03:00", "--to", "2026-11-01T04:00"]
    shown = CliRunner().invoke(main, ["ingest", "clickstream", *window])
    assert shown.exit_code == 0 and shown.stdout.startswith("clickstream: 1 records in 1 new batches")
    lines = [json.loads(line) for line in shown.stderr.splitlines()]
    assert all({"time", "level", "event", "run_id"} <= set(line) for line in lines)
    assert {line["command"] for line in lines} == {"ingest"}
    (landed,) = [line for line in lines if line["event"] == "batch landed"]
    (began,) = [line for line in lines if line["event"] == "ingest began"]
    assert landed["batch_id"] and landed["run_id"] == began["run_id"] and landed["source"] == "clickstream"
    failed = CliRunner().invoke(main, ["ingest", "nothing", *window])
    (line,) = [json.loads(line) for line in failed.stderr.splitlines()]
    assert failed.exit_code == 1 and line["level"] == "error" and line["event"].startswith("there is no source")


def test_without_it_a_command_says_the_same_as_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARWELL_HOME", str(tmp_path))
    shown = CliRunner().invoke(main, ["ingest", "nothing", "--from", "2026-11-01", "--to", "2026-11-02"])
    assert shown.stderr.startswith("error: there is no source 'nothing'") and "{" not in shown.stderr
