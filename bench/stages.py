"""Build what has landed in `CLEARWELL_HOME`, and print what each stage took as JSON: seconds and CPU seconds.

CLEARWELL_HOME=... python -m bench.stages
"""

import json
import time
from datetime import UTC, datetime

from ingestion.home import Home
from warehouse.build import Request, build

# How a build reports that a stage has ended, or the next one has begun.
_ENDS = {
    "plan: ": "plan",
    "audit: tests": "transform",
    "apply: ": "audit",
    "publish: ": "apply",
    "published ": "publish",
}


class Stages:
    """The stages that have ended, in their order. Called with each message of a build."""

    def __init__(self) -> None:
        self.took: dict[str, tuple[float, float]] = {}
        self._begun = _now()

    def __call__(self, message: str) -> None:
        ended = next((stage for beginning, stage in _ENDS.items() if message.startswith(beginning)), None)
        if ended:
            now = _now()
            self.took[ended] = (now[0] - self._begun[0], now[1] - self._begun[1])
            self._begun = now


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def main() -> None:
    """Build, and print what each stage took."""
    stages = Stages()
    build(Home.from_environment(), Request(), datetime.now(UTC), stages)
    print(json.dumps(stages.took))


if __name__ == "__main__":
    main()
