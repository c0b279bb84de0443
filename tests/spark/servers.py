"""The settings of a Spark, the ports of Spark Connect servers, and when they listen."""

import socket
import subprocess
import time

import yaml

from ingestion.contract import PROJECT


def settings() -> dict[str, str]:
    """Return Spark's settings in profiles.yml, without those that the environment says."""
    profile = yaml.safe_load((PROJECT / "profiles.yml").read_text())["clearwell"]["outputs"]["spark"]
    return {name: value for name, value in profile["server_side_parameters"].items() if "{{" not in value}


def free_port() -> int:
    """Return a port of this machine that nothing listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(process: "subprocess.Popen[bytes]", port: int, seconds: float) -> None:
    """Return once a server listens at a port, or has ended, or some seconds have passed."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as tried:
            if not tried.connect_ex(("127.0.0.1", port)):
                break
        time.sleep(0.1)
