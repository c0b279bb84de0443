"""The parsed project is kept until one of its files changes, and parsed again if what was kept is broken."""

import os
import shutil
from argparse import Namespace
from pathlib import Path

import pytest

from ingestion.contract import PROJECT
from ingestion.home import Home
from warehouse import parsed


class Parser:
    """Count the calls, keep where they start from, and return an empty manifest."""

    def __init__(self) -> None:
        self.asked = 0
        self.started_from: list[Path | None] = []

    def __call__(self, start: Path | None) -> object:
        from dbt.contracts.graph.manifest import Manifest
        from dbt.flags import set_from_args

        self.asked += 1
        self.started_from.append(start)
        set_from_args(Namespace(SEND_ANONYMOUS_USAGE_STATS=False), None)
        return Manifest()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    copy = tmp_path / "project"
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns("target", "logs"))
    return copy


def new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsed, "_IN_MEMORY", {})


def test_is_parsed_once_until_a_file_changes(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new_process(monkeypatch)
    home, parse = Home(tmp_path, tmp_path), Parser()
    for _ in range(2):
        parsed.parsed(home, project, parse)
        new_process(monkeypatch)
    assert parse.asked == 1
    for number, name in enumerate(("models/gold/gold_cohorts.sql", "profiles.yml", "tests/many_refused.sql"), start=2):
        os.utime(project / name, ns=(number, number))
        parsed.parsed(home, project, parse)
        assert parse.asked == number
    (project / "models" / "gold" / "gold_new.sql").write_text("select 1 as one")
    parsed.parsed(home, project, parse)
    assert parse.asked == 5


def test_a_changed_project_starts_from_what_was_parsed_last_wherever_it_is_kept(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_process(monkeypatch)
    home, parse = Home(tmp_path, tmp_path), Parser()
    for number, gone in enumerate((None, None, project / "target", tmp_path / "parsed"), start=1):
        os.utime(project / "profiles.yml", ns=(number, number))
        if gone:
            shutil.rmtree(gone)
        parsed.parsed(home, project, parse)
        for folder in (project / "target" / "parsed", tmp_path / "parsed"):
            last = folder / f"{parsed.project_key(project)}.msgpack"
            os.utime(last, ns=(number, number))
    names = [start and start.name for start in parse.started_from]
    assert names[0] is None and len(set(names)) == 4
    assert parse.started_from[2] and parse.started_from[2].parent == tmp_path / "parsed"
    assert parse.started_from[3] and parse.started_from[3].parent == project / "target" / "parsed"
    assert parsed.kept_last(home, project, "json") and parsed.kept_last(home, project, "templates") is None


def test_all_homes_share_the_files_of_a_project(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parse = Parser()
    for name in ("one", "two"):
        new_process(monkeypatch)
        parsed.parsed(Home(tmp_path / name, tmp_path), project, parse)
    assert parse.asked == 1


@pytest.mark.parametrize("is_writable", [True, False])
def test_a_home_has_the_files_in_a_new_checkout_and_in_one_that_cannot_be_written(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch, is_writable: bool
) -> None:
    target, parse = project / "target", Parser()
    for name in ("one", "one", "two"):
        new_process(monkeypatch)
        if is_writable:
            shutil.rmtree(target, ignore_errors=True)
        else:
            target.write_text("not a folder")
        parsed.parsed(Home(tmp_path / name, tmp_path), project, parse)
    assert parse.asked == 2


def test_files_that_this_process_has_are_written_again_if_they_are_gone(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_process(monkeypatch)
    home, parse = Home(tmp_path, tmp_path), Parser()
    parsed.parsed(home, project, parse)
    shutil.rmtree(project / "target")
    parsed.parsed(home, project, parse)
    new_process(monkeypatch)
    parsed.parsed(home, project, parse)
    assert parse.asked == 1


@pytest.mark.parametrize("rest", [b"", b"\0\0\0\0", b"\x81\xa5nodes"], ids=["empty", "zeros", "cut"])
def test_a_broken_file_is_made_again(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch, rest: bytes
) -> None:
    new_process(monkeypatch)
    home, parse = Home(tmp_path, tmp_path), Parser()
    parsed.parsed(home, project, parse)
    for folder in (project / "target" / "parsed", tmp_path / "parsed"):
        (kept,) = folder.glob("*.msgpack")
        kept.write_bytes(rest)
    for _ in range(2):
        new_process(monkeypatch)
        parsed.parsed(home, project, parse)
    assert parse.asked == 2


def test_only_the_last_few_are_kept(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new_process(monkeypatch)
    home, parse = Home(tmp_path, tmp_path), Parser()
    for number in range(6):
        os.utime(project / "profiles.yml", ns=(number, number))
        parsed.parsed(home, project, parse)
    for folder in (project / "target" / "parsed", tmp_path / "parsed"):
        assert len(list(folder.iterdir())) == 8
