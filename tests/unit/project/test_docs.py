"""What the docs name exists: links, files, commands and their options, make targets. Decisions have a date and a status."""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import click
import pytest

from cli.main import main
from tests.unit.cli.commands import COMMANDS, GROUPS

ROOT = Path(__file__).parents[3]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
DECISIONS = ROOT / "docs" / "decisions"
# Files that a page tells its reader to write, and those that a home has.
MADE_BY_READERS = re.compile(
    r"review|rating|fraud_weights|silver_order_scores\.py|^(builds|bronze|broken|published|parsed)/"
)
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def spans(page: Path) -> list[str]:
    """Return the texts that a page has in backticks, and the lines of its code blocks without a language."""
    fenced = re.split(r"^```(\w*)\n", page.read_text(), flags=re.M)
    prose, blocks = [fenced[0]], []
    # text, fence, text, fence, …: every second fence closes a block
    for place, (fence, text) in enumerate(zip(fenced[1::2], fenced[2::2], strict=True)):
        if place % 2:
            prose.append(text)
        elif not fence:
            blocks += text.splitlines()
    return [*(" ".join(one.split()) for one in re.findall(r"`([^`]+)`", "".join(prose))), *blocks]


def test_the_pages_are_found() -> None:
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/glossary.md"} <= {name(page) for page in PAGES}
    assert (ROOT / "LICENSE").read_text().split()[:4] == ["Apache", "License", "Version", "2.0,"]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", " ".join(page.read_text().split())):
        if not target.startswith("http"):
            assert (page.parent / target.replace(" ", "").split("#")[0]).exists(), target


def files(page: Path) -> Iterator[str]:
    """Yield what looks like a file or folder of the project."""
    for span in spans(page):
        for word in re.findall(r"(?<![\w$<./-])[\w.-]+/[\w./*-]*", span.split("::")[0]):
            if word.split("/")[0] in FOLDERS and not MADE_BY_READERS.search(word):
                yield word


# Written by builds, so not there in a new clone.
GENERATED = ("dbt_project/target",)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_are_there(page: Path) -> None:
    for word in files(page):
        if word.rstrip("/") in GENERATED:
            continue
        # a page may write `macros/reach.sql` for a file of the dbt project
        found = [*ROOT.glob(word.rstrip("/")), *(ROOT / "dbt_project").glob(word.rstrip("/"))]
        assert found, word


def calls(page: Path) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Yield every call of the command on a page: the words that name the command, and its options."""
    for span in spans(page):
        for line in re.findall(r"(?:^|; |and |or )(?:\.venv/bin/)?clearwell ([^;|]+)", span):
            words = [re.sub(r"[^\w-]+$", "", one) for one in line.split("  ")[0].split()]
            known = [n for n in range(len(words) + 1) if tuple(words[:n]) in COMMANDS or tuple(words[:n]) in GROUPS]
            path = tuple(words[: max(known)])
            after = words[len(path) : len(path) + 1]
            assert path in COMMANDS or not after or not re.fullmatch(r"[a-z-]+", after[0]) or after[0][0] == "-", words
            yield path, [one for one in words if one.startswith("--")]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_are_there_and_take_these_options(page: Path) -> None:
    for path, options in calls(page):
        if path == ("airflow",):  # takes Airflow's own
            continue
        assert path or set(options) <= {"--help", *(text for one in main.params for text in one.opts)}, options
        if path in COMMANDS:
            taken = {text for one in COMMANDS[path].params if isinstance(one, click.Option) for text in one.opts}
            assert set(options) <= taken | {"--help"}, (page, path)


def test_the_commands_of_the_readme_are_read() -> None:
    """The test above would also pass if it read no commands."""
    read = {path for path, _ in calls(ROOT / "README.md")}
    assert {("build",), ("batches", "retract"), ("dead-letters", "list"), ("sql",)} <= read


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_make_targets_are_there(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {one for span in spans(page) for one in re.findall(r"^make ([a-z-]+)", span)} <= targets


@pytest.mark.parametrize("page", [page for page in DECISIONS.glob("*.md") if page.name != "README.md"], ids=name)
def test_a_decision_is_dated_has_a_status_and_one_subject(page: Path) -> None:
    lines = page.read_text().splitlines()
    assert lines[0].startswith("# ") and sum(line.startswith("# ") for line in lines) == 1
    told = re.fullmatch(r"Date: (\S+)\. Status: (accepted|superseded by \[(\S+)\]\(\S+\))\.", lines[2])
    assert told and page.name.startswith(f"{date.fromisoformat(told[1])}-")
    assert not told[3] or told[3][:10] >= told[1]
    assert f"]({page.name})" in (DECISIONS / "README.md").read_text()
