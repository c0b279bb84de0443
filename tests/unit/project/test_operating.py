"""Each test that the table of faults names exists, and each kind of alert has its section in the runbook."""

import ast
import re
from pathlib import Path

import pytest

from operations import alerts

ROOT = Path(__file__).resolve().parents[3]
ROWS = [line for line in (ROOT / "docs" / "operating.md").read_text().splitlines() if line.startswith("| ")][1:]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split(" | ")[0].removeprefix("| ")[:60])
def test_each_fault_names_a_test_that_is_there(row: str) -> None:
    cells = [cell.strip() for cell in row.strip("| ").split(" | ")]
    assert len(cells) == 5 and all(cells)
    named = re.findall(r"`(tests/\S+\.py)::(\w+)`", cells[-1])
    assert named
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text())
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, name


def test_each_kind_of_alert_has_a_section_and_each_section_a_kind() -> None:
    text = (ROOT / alerts.RUNBOOK).read_text()
    sections = re.split(r"^### ", text.split("\n## Alerts\n")[1].split("\n## ")[0], flags=re.M)[1:]
    assert [one.splitlines()[0] for one in sections] == list(alerts.KINDS)
    for one in sections:
        assert "Next: " in " ".join(one.split()), one
    assert alerts.runbook("stale", {}) == "docs/operating.md#stale"
