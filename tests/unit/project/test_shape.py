"""Imports go in one direction, and some things must never be in the project."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from operations.airflow import dag_ids

ROOT = Path(__file__).parents[3]
LAYERS = ["ingestion", "warehouse", "operations", "control_room", "dags", "plugins", "cli"]


def imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_run_one_way(layer: str) -> None:
    later = set(LAYERS[LAYERS.index(layer) + 1 :])
    paths = list((ROOT / layer).rglob("*.py"))
    assert paths
    for path in paths:
        assert not imports(path) & later, path


def test_nothing_imports_the_command_line() -> None:
    for path in (path for room in (*LAYERS[:-1], "demo", "bench") for path in (ROOT / room).rglob("*.py")):
        assert "cli" not in imports(path), path


def test_the_baseline_is_independent() -> None:
    """What Clearwell's gold is compared with shares no code with it."""
    folders = [ROOT / "bench" / "by_hand", ROOT / "bench" / "peers"]
    paths = [ROOT / "bench" / "baseline.py", *(path for folder in folders for path in folder.rglob("*.py"))]
    assert len(paths) > 5
    for path in paths:
        assert not imports(path) & {*LAYERS, "demo", "dbt"}, path


def test_batches_are_described_and_committed_in_one_place() -> None:
    calls = re.compile(r"\bManifest\(|\bbronze\.commit\(")
    where = {
        str(path.relative_to(ROOT))
        for room in LAYERS
        for path in (ROOT / room).rglob("*.py")
        if calls.search(path.read_text())
    }
    assert where == {"ingestion/land.py"}


def test_every_module_has_its_test_in_the_same_place() -> None:
    """Commands are left out: the tests of `tests/unit/cli` walk all of them."""
    modules = [
        path for room in (*LAYERS[:3], "demo") for path in (ROOT / room).rglob("*.py") if path.stem != "__init__"
    ]
    alone = {
        str(path.relative_to(ROOT))
        for path in modules
        if not (ROOT / "tests" / "unit" / path.relative_to(ROOT)).with_name(f"test_{path.name}").exists()
    }
    assert modules and alone == set()


# The one module that runs dbt, the one that attaches a lake for it, the one that takes short ways through it, and the one that keeps what it parsed.
RUN_DBT = (
    Path("warehouse/dbt.py"),
    Path("warehouse/dbt_lake.py"),
    Path("warehouse/dbt_shortcuts.py"),
    Path("warehouse/parsed.py"),
    Path("warehouse/spark_session.py"),
)


def test_only_what_airflow_loads_imports_it_and_only_one_module_runs_dbt() -> None:
    of_airflow = {"dags", "control_room", "plugins"}
    for path in (path for layer in set(LAYERS) - of_airflow for path in (ROOT / layer).rglob("*.py")):
        assert "airflow" not in imports(path), path
        assert "dbt" not in imports(path) or path.relative_to(ROOT) in RUN_DBT, path


def test_the_demo_is_known_to_the_command_line_and_to_what_runs_on_one_machine() -> None:
    users = {path for layer in LAYERS for path in (ROOT / layer).rglob("*.py") if "demo" in imports(path)}
    assert users == {ROOT / "operations" / "airflow.py", ROOT / "operations" / "demo.py", ROOT / "cli" / "shop.py"}


def test_the_clock_is_read_at_the_edges_alone() -> None:
    for path in (path for layer in ("ingestion", "warehouse", "demo") for path in (ROOT / layer).rglob("*.py")):
        assert not re.search(r"datetime\.now|datetime\.today|date\.today|time\.time\(", path.read_text()), path


def test_the_readme_lists_the_dags() -> None:
    readme = (ROOT / "README.md").read_text()
    for dag in dag_ids():
        assert f"`{dag}`" in readme


def test_requirements_are_hashed_and_name_no_index() -> None:
    text = (ROOT / "requirements.txt").read_text()
    assert "--hash=sha256:" in text and "://" not in text and "--index" not in text


def test_no_path_of_a_machine_is_tracked() -> None:
    found = subprocess.run(
        ["git", "grep", "-nIF", "-e", f"{ROOT}/"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    assert found == ""
