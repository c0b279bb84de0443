"""What is printed can be typed: each `clearwell …` in a message, a help text or a docstring is parsed by the command line itself."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cli.main import main
from tests.unit.cli.commands import members

ROOT = Path(__file__).resolve().parents[3]
CODE = ("cli", "dags", "demo", "ingestion", "operations", "warehouse")
MODULES = [path for folder in CODE for path in sorted((ROOT / folder).rglob("*.py"))]
TESTS = sorted((ROOT / "dbt_project" / "tests").rglob("*.sql"))
# HOLE stands for a value that is known only at run time, PLACEHOLDER for what the reader has to fill in.
HOLE = "HOLE"
PLACEHOLDER = re.compile(r"[A-Z][A-Z_]*|…|<\w+>")
SAMPLES = {"start": "2026-11-01", "end": "2026-11-02"}
WORD = re.compile(r"""("[^"]*"|'[^']*'|[^\s`"';,)|]+)""")


def typed(text: str) -> Iterator[str]:
    """Yield what follows each `clearwell` in a text: to the end of its quotes, or of the line."""
    for line in text.splitlines():
        for match in re.finditer(r"(?<![\w./-])clearwell (?=[a-z-])", line):
            rest = line[match.end() :]
            yield rest.split("`")[0] if line[: match.start()].endswith("`") else rest


def words_of(text: str) -> list[str]:
    """Split a text into words as a shell does, up to where a command ends."""
    words, place = [], 0
    while (match := WORD.match(text, place)) and match[1] not in ("/", "·"):
        words.append(match[1].rstrip(".") or match[1])
        place = match.end()
        gap = re.match(r" *", text[place:])
        if not gap or not gap[0] or len(gap[0]) > 2 or match[1] != words[-1]:
            break  # two columns of a table, or a sentence, end a command
        place += len(gap[0])
    return words


def parse(text: str) -> tuple[click.Command, list[str], list[str]]:
    """Return the command in a text, the words of its name, and its options and arguments."""
    words, command, path = words_of(text), main, []
    while isinstance(command, click.Group) and words:
        if words[0] in {"--help", *(name for one in command.params for name in one.opts)}:
            words.pop(0)
            continue
        if PLACEHOLDER.fullmatch(words[0]):
            return command, path, []
        known = dict(members(command))
        assert words[0] in known, f"no command {words[0]!r} in {text!r}"
        path.append(words[0])
        command = known[words.pop(0)]
    return command, path, list(arguments(command, words, text))


def arguments(command: click.Command, words: list[str], text: str) -> Iterator[str]:
    options = {name: one for one in command.params if isinstance(one, click.Option) for name in one.opts}
    places = [one for one in command.params if isinstance(one, click.Argument)]
    while words:
        word = words.pop(0)
        if word.startswith("--"):
            assert word in options or command.name == "airflow", f"no option {word} in {text!r}"
            yield word
            if word in options and not options[word].is_flag:
                assert words, f"{word} has no value in {text!r}"
                yield value(options[word], words.pop(0))
        elif places and (PLACEHOLDER.fullmatch(word) or HOLE in word or word[0] in "\"'" or not word.isalpha()):
            yield value(places[0], word)
            places = places if places[0].nargs == -1 else places[1:]
        elif places and places[0].name in ("source", "dataset") and word.islower() and words and words[0][:2] == "--":
            yield word
        elif places and command.name in ("ingest", "release", "trace") and word.islower():
            yield word
            places = places[1:]
        else:
            return


def value(parameter: click.Parameter, word: str) -> str:
    """Put something of the right kind where a text has a placeholder."""
    if isinstance(parameter.type, click.Path):
        return __file__
    if not PLACEHOLDER.fullmatch(word) and HOLE not in word:
        return shlex.split(word)[0]
    if isinstance(parameter.type, click.Choice):
        return str(parameter.type.choices[0])
    if isinstance(parameter.type, click.types.IntParamType):
        return "1"
    return SAMPLES.get(str(parameter.name), "x")


def can_be_typed(text: str, *, mentions: bool) -> None:
    """Parse a command without running it. With `mentions`, one without arguments only mentions the command."""
    command, path, own = parse(text)
    if isinstance(command, click.Group) or (mentions and not own):
        return
    try:
        with command.make_context(" ".join(path), own, parent=click.Context(main, info_name="clearwell")):
            pass
    except click.UsageError as error:
        pytest.fail(f"`clearwell {text}` cannot be typed: {error.format_message()}")


def filled(part: ast.expr) -> str:
    """Return a part of an f-string: its text, or a placeholder for its value."""
    if isinstance(part, ast.Constant):
        return str(part.value)
    is_window = isinstance(part, ast.FormattedValue) and ast.unparse(part.value).endswith("window.options")
    return "--from DATE --to DATE" if is_window else HOLE


def strings(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield each string of a module, with a placeholder for each value, and whether it is a docstring."""
    tree = ast.parse(path.read_text())
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    parts = {id(one) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for one in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(map(filled, node.values)), False
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.value, id(node) in docs


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_printed_can_be_typed(path: Path) -> None:
    for text, is_docstring in strings(path):
        for command in typed(text):
            can_be_typed(command, mentions=is_docstring)


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_each_dbt_test_says_what_its_rows_mean_and_what_can_be_typed(path: Path) -> None:
    """A finding is read by somebody who has not seen the test: dbt's own message only counts rows."""
    found = re.search(r"'finding': '((?:[^'\\]|\\.)+)'", path.read_text())
    assert found, f"{path.name} has no `finding` in its config's meta"
    for command in typed(found[1]):
        can_be_typed(command, mentions=False)


def test_the_texts_are_found_and_what_cannot_be_typed_is_told() -> None:
    """The tests above would also pass if they found nothing."""
    found = [command for path in MODULES for text, _ in strings(path) for command in typed(text)]
    assert len(found) > 50 and any(command.startswith("builds accept held:HOLE --reason TEXT") for command in found)
    for right in (
        "build",
        "status says all",
        "trace o-1",
        "build --from DATE --to DATE, or",
        "batches retract ID --reason TEXT",
    ):
        can_be_typed(right, mentions=False)
    for wrong in (
        "contracts try",
        "batches retract ID",
        "build --form DATE",
        "ingest",
        "dead-letters nothing",
        "biuld",
    ):
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            can_be_typed(wrong, mentions=False)
