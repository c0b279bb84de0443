"""A home may have any name a folder can have: no path is pasted unquoted into a query or a shell command."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import main
from demo import postgres
from ingestion.home import Home
from warehouse import state

FIRST = ["--from", "2026-11-01", "--to", "2026-11-02"]
SECOND = ["--from", "2026-11-02", "--to", "2026-11-03"]
SHOP = [
    "shop",
    "simulate",
    "--from",
    "2026-11-01",
    "--to",
    "2026-11-03",
    "--orders-per-day",
    "5",
    "--events-per-day",
    "40",
]


def type_(*command: str, status: int = 0) -> str:
    shown = CliRunner().invoke(main, command)
    assert shown.exit_code == status, (command, shown.output, shown.exception)
    return shown.output


def test_a_home_with_quotes_spaces_and_accents_in_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / """o'brien's "x" $HOME; ü %d"""
    monkeypatch.setenv("CLEARWELL_HOME", str(root))
    home = Home.from_environment()
    try:
        type_("shop", "start")
        type_(*SHOP)
        type_("run", *FIRST)
        first = state.last_build(home.published)
        type_("ingest", "clickstream", *SECOND)
        type_("build", "--full", "--reason", "test")
        type_("ledger", "--recount")
        assert '"n": 5' in type_(
            "sql", "select sum(records)::int as n from ops.ledger where dataset = 'orders'", "--json"
        )
        type_("trace", "--gold", "daily_revenue", "--where", "order_date = '2026-11-01'")
        type_("builds", "restore", first, "--reason", "test")
        assert state.last_build(home.published) == first
        type_("builds", "unpin")
        assert state.last_build(home.published) == state.last_build(home.state) != first
        assert "nothing" in type_("repair", "--dry-run")
        type_("status")  # old data is late some hours after the first landing
        assert list(tmp_path.iterdir()) == [root]
    finally:
        postgres.stop(home)
