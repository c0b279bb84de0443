"""Follow a page of docs/ in a separate checkout: its files where it says they go, its commands as written."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = ("cli", "dags", "dbt_project", "demo", "ingestion", "operations", "warehouse")
# Run each line of standard input as a command, and answer with a line of JSON: its output and exit status.
TYPE = """
import json, shlex, sys
from click.testing import CliRunner
from cli.main import main
for line in sys.stdin:
    shown = CliRunner().invoke(main, shlex.split(line)[1:])
    print("answer " + json.dumps([shown.output, shown.exit_code]), flush=True)
"""


def make_checkout(root: Path, page: str) -> Path:
    """Copy the code into a folder, and write the files that a page shows: a path on its own line, then a code block."""
    for folder in CODE:
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("target", "logs", "__pycache__"))
    for name, body in blocks(page):
        assert not (root / name).exists(), name
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(body)
    return root


def blocks(page: str) -> list[tuple[str, str]]:
    return re.findall(r"^`([^`\n]+)`\n\n```\w+\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def run(checkout: Path, code: str, typed: str = "", **environment: str) -> list[str]:
    """Run Python in the checkout; return its lines that begin with `answer`."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=typed,
        cwd=checkout,
        env=os.environ
        | {
            "PYTHONPATH": str(checkout),
            "CLEARWELL_HOME": str(checkout / "data"),
            "AIRFLOW_HOME": str(checkout / "airflow"),
        }
        | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [line.removeprefix("answer ") for line in done.stdout.splitlines() if line.startswith("answer ")]


def type_in(checkout: Path, *commands: str, **environment: str) -> list[tuple[str, int]]:
    """Run commands in the checkout, one after another; return the output and exit status of each."""
    answers = run(checkout, TYPE, "".join(f"{command}\n" for command in commands), **environment)
    return [tuple(json.loads(answer)) for answer in answers]
