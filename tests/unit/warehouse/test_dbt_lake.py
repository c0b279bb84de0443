"""dbt's connection gets the lakes among the databases of the profile, and nothing else."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ingestion import lake
from ingestion.contract import PROJECT
from warehouse import dbt_lake


def test_lakes_are_attached_and_files_are_left_to_dbt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attached: list[tuple[Any, Path, str]] = []
    monkeypatch.setattr(lake, "attach", lambda *given: attached.append(given))
    monkeypatch.setenv("CLEARWELL_STATE", str(tmp_path / "state.ducklake"))
    monkeypatch.setenv("CLEARWELL_PREVIOUS", str(tmp_path / "empty.duckdb"))
    plugin = dbt_lake.Plugin.__new__(dbt_lake.Plugin)
    plugin.configure_connection("connection")
    assert attached == [("connection", tmp_path / "state.ducklake", "state")]
    monkeypatch.delenv("CLEARWELL_STATE")
    plugin.configure_connection("connection")
    assert len(attached) == 1


def test_the_profile_names_it_and_the_same_databases() -> None:
    build = yaml.safe_load((PROJECT / "profiles.yml").read_text())["clearwell"]["outputs"]["build"]
    assert build["plugins"] == [{"module": "warehouse.dbt_lake"}]
    named = {one["alias"]: one["path"] for one in build["attach"]}
    for name, variable in dbt_lake._ATTACHED.items():
        assert variable in named[name]
