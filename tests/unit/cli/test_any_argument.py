"""Any text in any argument of any command ends in an answer or in one clear line, never in a traceback."""

from collections.abc import Iterator, Sequence
from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cli.main import main
from ingestion.errors import Permanent
from tests.unit.cli.commands import COMMANDS

# Replaced by no-ops: a test must not start, stop or wait for these. Their arguments are still parsed.
DOES = (
    *(
        "operations.demo.run",
        "operations.demo.up",
        "operations.demo.down",
    ),
    # airflow takes any word, and passes it on
    "operations.airflow.command",
    *("demo.postgres.start", "demo.postgres.stop", "demo.live.run", "ingestion.releases.release"),
    "operations.datasets.write",
)
# What a process can get as an argument: no NUL; bytes that are not UTF-8 appear as lone surrogates.
TEXTS = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"])
    | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF),
    max_size=12,
)
NASTY = """
-1|0|²|٣|1e9|NaN|99999999999999999999999|a:1|a:²|a:-1|a:99999999999999999999999|:|::|:1|held:|held:x|difference:orders:2026-11-01
0001-01-01|0001-01-01T00:00+14:00|9999-12-31|9999-12-31T23:59:59-14:00|2026-11-01|2026-11-02|2026-02-30|2026-11-01T10:00|2026-W01-1
20261101|2026-11-01T25:00|now|orders|clickstream|exchange_rates|customers|order_items|daily_revenue|gold.daily_revenue|missing:visitor_id
..|../..|/|/etc/passwd|.|~|~nobody-here|%s|{0}|$HOME|`ls`|[/b]|:x:|\\|'|"|;|--|-h|--json|--|silver|gold|true|from range(3)|select 1
"""
VALUES = TEXTS | st.sampled_from(
    ["", " ", "x" * 300, "y" * 5000, *(one for line in NASTY.split("\n") for one in line.split("|"))]
)
ENDINGS = {0, 1, 2}


SENSIBLE = {
    "start": "2026-11-01 2026-10-31T10:00 0001-01-01 0001-01-01T00:00+14:00 9999-12-31 1900-01-01 2026-11-01T00:00:00.000001",
    "end": "2026-11-02 2026-11-01T10:00Z 9999-12-31 9999-12-31T23:59:59-14:00 9999-12-31T23:59:59.999999 2026-11-03",
    "source": "orders clickstream exchange_rates",
    "dataset": "orders clickstream source_counts",
    "file": "file.yml /dev/null . nothing.yml file.json broken.json binary",
    "table": "daily_revenue gold.daily_revenue order_risk",
    "name": "o-1 a:1 a:99999999999999999999999 a:² a:٣",
    "limit": "0 1 -1 99999999999999999999",
    "finding": "held:x difference:orders:2026-11-01",
    "layer": "silver gold",
    "seed": "0 -1 99999999999999999999",
    "reason": "because",
}


def text_for(parameter: click.Parameter) -> st.SearchStrategy[str]:
    """Draw a value that makes sense for a parameter as often as any text."""
    sensible = SENSIBLE.get(parameter.name or "")
    return st.sampled_from(sensible.split()) | VALUES if sensible else VALUES


def typed(command: click.Command) -> st.SearchStrategy[list[str]]:
    """Draw arguments and options for a command, with any text in them; required ones are nearly always given."""
    parts: list[st.SearchStrategy[list[str]]] = []
    for one in command.params:
        if isinstance(one, click.Option):
            given_once = (
                st.just([one.opts[0]])
                if one.is_flag
                else text_for(one).map(lambda text, name=one.opts[0]: [f"{name}={text}"])
            )
            often = given_once if one.required else st.just([]) | given_once
            parts.append(often)
        else:
            texts = st.lists(text_for(one), max_size=3) if one.nargs == -1 else text_for(one).map(lambda text: [text])
            parts.append(texts)
    return st.tuples(*parts).map(arranged)


def arranged(parts: Sequence[list[str]]) -> list[str]:
    """Put the options first, then `--`, then the arguments."""
    words = [word for part in parts for word in part]
    options = [word for word in words if word.startswith("--")]
    return [*options, "--", *(word for word in words if not word.startswith("--"))]


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    root = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLEARWELL_HOME", str(root / "home"))
        patch.setenv("SHOP_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
        patch.setenv("HOME", str(root))
        patch.chdir(root)
        (root / "file.yml").write_text("a: 1")
        (root / "file.json").write_text('[{"record": "a:1", "raw": "x"}]')
        (root / "broken.json").write_text("[1, {")
        (root / "binary").write_bytes(bytes(range(256)))
        for name in DOES:
            patch.setattr(name, lambda *_, **__: "")
        patch.setattr("warehouse.dbt.run_models", _refuse)
        yield


def _refuse(*_: Any, **__: Any) -> None:
    raise Permanent("no model is run here")


@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_argument(name: tuple[str, ...], data: st.DataObject) -> None:
    arguments = [*name, *data.draw(typed(COMMANDS[name]))]
    shown = CliRunner().invoke(main, arguments)
    assert isinstance(shown.exception, SystemExit | None), arguments
    assert shown.exit_code in ENDINGS, (arguments, shown.output)
    assert "Traceback" not in shown.output


@given(st.lists(VALUES, max_size=4))
@example(["--debug"])
@example([])
def test_any_words(words: list[str]) -> None:
    shown = CliRunner().invoke(main, words)
    assert isinstance(shown.exception, SystemExit | None)


@pytest.mark.parametrize(
    ("variable", "command"),
    [
        ("CLEARWELL_HOME", ["status"]),
        ("CLICKSTREAM_LANDING", ["status"]),
        ("CLEARWELL_SOURCES", ["status"]),
        ("CLEARWELL_QUERY_SECONDS", ["sql", "select 1"]),
        ("CLEARWELL_MEMORY", ["sql", "select 1"]),
        ("SHOP_DATABASE_URL", ["ingest", "orders", "--from", "2026-11-01", "--to", "2026-11-02"]),
        ("EXCHANGE_RATES", ["ingest", "exchange_rates", "--from", "2026-11-01", "--to", "2026-11-02"]),
    ],
)
@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(value=VALUES)
def test_any_setting(variable: str, command: list[str], value: str) -> None:
    """The home is tried with `status`, which writes nothing, since the value may name a real folder."""
    with pytest.MonkeyPatch.context() as patch:
        # if the address names no server, libpq's own variables point to one that does not exist
        patch.setenv("PGHOST", "127.0.0.1")
        patch.setenv("PGPORT", "1")
        patch.setenv(variable, value)
        shown = CliRunner().invoke(main, command)
        assert isinstance(shown.exception, SystemExit | None), (variable, value)
        assert shown.exit_code in ENDINGS, shown.output
