"""Follow a page of docs/ in a separate checkout: its files where it says they go, its commands as written."""

import atexit
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from tests.pipeline.children import LIBRARIES

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
    # what dbt parsed last, so that it parses only what differs, as in a checkout that has been used
    kept = Path("dbt_project", "target", "parsed")
    (root / kept).mkdir(parents=True)
    for kind in ("msgpack", "templates"):
        last = max((ROOT / kept).glob(f"*.{kind}"), key=lambda path: path.stat().st_mtime_ns, default=None)
        if last:
            shutil.copy2(last, root / kept)
    for name, body in blocks(page):
        assert not (root / name).exists(), name
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(body)
    return root


def blocks(page: str) -> list[tuple[str, str]]:
    return re.findall(r"^`([^`\n]+)`\n\n```\w+\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


# Import what takes seconds and is not of the checkout; then run each job, a line of JSON, in a child, and answer with its status.
SERVER = """
import importlib, json, os, runpy, sys, traceback
for name in sys.argv[2:]:
    importlib.import_module(name)
runpy.run_path(sys.argv[1])
for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if not child:
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    sys.exit()
for number, (name, mode) in enumerate([("typed", "r"), ("shown", "w"), ("told", "w")]):
    with open(os.path.join(job["folder"], name), mode) as file:
        os.dup2(file.fileno(), number)
sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")
os.chdir(job["checkout"])
os.environ.clear()
os.environ.update(job["environment"])
sys.path.insert(0, job["checkout"])
sys.argv[1:] = []
status = 0
try:
    exec(job["code"], {"__name__": "__main__"})
except BaseException:
    traceback.print_exc()
    status = 1
sys.stdout.flush()
sys.stderr.flush()
os._exit(status)  # the libraries' threads stayed in the server, and an ordinary exit would wait for them
"""


@cache
def server() -> subprocess.Popen[str]:
    """Start the process that forks the checkouts' processes. It ends with this one, or as its input ends."""
    started = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(Path(__file__).with_name("set_aside.py")), *LIBRARIES],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
    )
    atexit.register(started.communicate)
    return started


def run(checkout: Path, code: str, typed: str = "", **environment: str) -> list[str]:
    """Run Python in the checkout, in a process of its own; return its lines that begin with `answer`."""
    asked, answered = server().stdin, server().stdout
    assert asked and answered
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "typed").write_text(typed)
        of_checkout = {
            "PYTHONPATH": str(checkout),
            "CLEARWELL_HOME": str(checkout / "data"),
            "AIRFLOW_HOME": str(checkout / "airflow"),
        }
        job = {"folder": folder, "checkout": str(checkout), "code": code}
        asked.write(json.dumps({**job, "environment": os.environ | of_checkout | environment}) + "\n")
        asked.flush()
        status = answered.readline()
        assert status == "0\n", status + (Path(folder) / "told").read_text()[-3000:]
        shown = (Path(folder) / "shown").read_text()
    return [line.removeprefix("answer ") for line in shown.splitlines() if line.startswith("answer ")]


def type_in(checkout: Path, *commands: str, **environment: str) -> list[tuple[str, int]]:
    """Run commands in the checkout, one after another; return the output and exit status of each."""
    answers = run(checkout, TYPE, "".join(f"{command}\n" for command in commands), **environment)
    return [tuple(json.loads(answer)) for answer in answers]
