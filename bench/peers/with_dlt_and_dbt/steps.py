"""Land with dlt, then build with dbt, as a schedule would: dbt in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

from bench.by_hand.job import FUTURE, SEEDS, THREADS, Job
from bench.peers import common
from bench.peers.with_dlt_and_dbt import landing

PROJECT = Path(__file__).with_name("shop")


def make(job: Job, *, as_lines: bool) -> None:
    """Make `job.out`, with the schemas raw, silver and gold. SystemExit if dbt fails, which says why itself."""
    common.begin(job)
    landing.land(job, as_lines=as_lines)
    values = {"seeds": str(SEEDS), "latest": f"{job.now + FUTURE:%Y-%m-%d %H:%M:%S.%f}", "as_lines": as_lines}
    folders = ["--project-dir", PROJECT, "--profiles-dir", PROJECT, "--target-path", job.work / "target"]
    command = [Path(sys.executable).with_name("dbt"), "--log-path", job.work / "logs", "build", *folders]
    settings = {"SHOP_DUCKDB": str(job.out), "SHOP_MEMORY": job.memory, "SHOP_THREADS": str(THREADS)}
    done = subprocess.run([*map(str, command), "--vars", json.dumps(values)], env={**os.environ, **settings})
    if done.returncode:
        sys.exit(f"dbt: exit status {done.returncode}")
