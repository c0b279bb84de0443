"""What the watchdog's command loads: it runs every five minutes."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import main

HEAVY = ("pyarrow", "psycopg", "numpy", "pandas", "dbt", "airflow", "great_expectations")


def test_a_pass_loads_only_what_it_needs(tmp_path: Path) -> None:
    program = f"""
import sys
from cli.main import main
sys.argv = ["clearwell", "watch"]
try:
    main()
except SystemExit as end:
    print("ended with", end.code)
print("loaded:", *(name for name in {HEAVY!r} if name in sys.modules))
"""
    environment = {"CLEARWELL_HOME": str(tmp_path), "PATH": "", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-2:] == ["ended with 1", "loaded:"], done.stderr


def test_whom_nobody_tells_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARWELL_HOME", str(tmp_path))
    shown = CliRunner().invoke(main, ["watch"])
    assert "CLEARWELL_ALERTS is not set" in shown.output and "CLEARWELL_WATCH_PING_URL is not set" in shown.output
