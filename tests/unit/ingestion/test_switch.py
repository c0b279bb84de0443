"""One setting says which sources there are."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingestion import sources
from ingestion.contract import read_contracts, source_names
from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.switch import VARIABLE, is_on, sources_on
from ingestion.window import Window

KNOWN = ("orders", "clickstream", "exchange_rates")
NOW = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "on"),
    [
        (None, dict.fromkeys(KNOWN)),
        (" ", dict.fromkeys(KNOWN)),
        ("orders", {"orders": None}),
        ("exchange_rates,orders", {"orders": None, "exchange_rates": None}),
        (
            "orders until 2011-12-10, clickstream until 2026-01-01T10:00+02:00",
            {"orders": datetime(2011, 12, 10, tzinfo=UTC), "clickstream": datetime(2026, 1, 1, 8, tzinfo=UTC)},
        ),
    ],
)
def test_what_is_named_is_on(said: str | None, on: dict) -> None:
    env = {} if said is None else {VARIABLE: said}
    assert sources_on(KNOWN, env) == on
    assert [name for name in KNOWN if is_on(name, env)] == list(on)


@pytest.mark.parametrize(
    "said", ["oders", "orders,", "orders, orders", "orders until", "orders since 2011-12-10", "orders until soon"]
)
def test_what_means_nothing_is_one_error(said: str) -> None:
    with pytest.raises(Permanent) as caught:
        sources_on(KNOWN, {VARIABLE: said})
    assert "Next: " in str(caught.value)


def test_a_source_that_is_off_is_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "orders, exchange_rates")
    assert sources.SOURCES == source_names(read_contracts()) == ("orders", "exchange_rates")
    home = Home(tmp_path, tmp_path / "landing")
    window = Window.parse("2026-11-01", "2026-11-02")
    with pytest.raises(Permanent, match=r"'clickstream' is switched off.*CLEARWELL_SOURCES"):
        sources.ingest("clickstream", window, home, NOW)
    with pytest.raises(Permanent, match="no source 'clicks'"):
        sources.ingest("clicks", window, home, NOW)


def test_a_source_that_has_nothing_names_the_switch(tmp_path: Path) -> None:
    home = Home(tmp_path, tmp_path / "landing")
    for source in ("clickstream", "orders"):
        with pytest.raises(Permanent, match=f"{source} out of CLEARWELL_SOURCES"):
            sources.ingest(source, Window.parse("2026-11-01", "2026-11-02"), home, NOW)


def test_of_a_source_that_has_ended_nothing_newer_is_expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path, tmp_path / "landing")
    home.landing.mkdir()
    monkeypatch.setenv(VARIABLE, "clickstream until 2026-11-01T12:00Z")
    with pytest.raises(Permanent, match="no records of clickstream"):
        sources.ingest("clickstream", Window.parse("2026-11-01T10:00", "2026-11-01T12:00"), home, NOW)
    landing = sources.ingest("clickstream", Window.parse("2026-11-01T12:00", "2026-11-01T13:00"), home, NOW)
    assert [manifest.records_written for manifest in landing.manifests] == [0]


def test_a_source_of_fixed_datasets_is_not_read_if_a_contract_reads_one_from_elsewhere(tmp_path: Path) -> None:
    contracts = read_contracts()
    contracts["visits"] = replace(contracts["clickstream"], dataset="visits")
    contracts["clickstream"] = replace(contracts["clickstream"], source="tracker", kind="file")
    window = Window.parse("2026-11-01", "2026-11-02")
    with pytest.raises(
        Permanent, match=r"clickstream lands clickstream, but the contract of clickstream reads it from"
    ):
        sources.ingest("clickstream", window, Home(tmp_path, tmp_path), window.end, contracts=contracts)
    (problem,) = sources.check("clickstream", Home(tmp_path, tmp_path), contracts)
    assert "the contract of clickstream reads it from elsewhere" in problem.what
