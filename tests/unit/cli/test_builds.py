"""`build` says what it published, and what is held and therefore is not in it."""

from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from cli.main import main
from operations import listings
from warehouse import build


@pytest.mark.parametrize("records", [0, 240])
def test_a_build_tells_what_is_held(monkeypatch: pytest.MonkeyPatch, tmp_path, records: int) -> None:
    monkeypatch.setenv("CLEARWELL_HOME", str(tmp_path))
    outcome = build.Outcome(SimpleNamespace(build_id="B1"), is_published=True)
    monkeypatch.setattr(build, "build", lambda *_: outcome)
    held = [{"dataset": "order_items", "batches": 1, "records": records}] if records else []
    monkeypatch.setattr(listings, "held", lambda home: held)
    shown = CliRunner().invoke(main, ["build"]).stdout
    told = "Not counted here: 240 records of order_items in 1 batch that are held: clearwell status\n" if held else ""
    assert shown == f"build B1: published\n{told}"
