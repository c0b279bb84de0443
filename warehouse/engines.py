"""The engines that can run the models of a build."""

import os

from ingestion.errors import Permanent

DUCKDB, SPARK = "duckdb", "spark"
# The variable that says which of them a build uses that names none.
ENGINE = "CLEARWELL_ENGINE"


def default_engine() -> str:
    """Read CLEARWELL_ENGINE: duckdb if it is empty or unset. Anything but an engine's name is Permanent."""
    engine = os.environ.get(ENGINE) or DUCKDB
    if engine not in (DUCKDB, SPARK):
        raise Permanent(
            f"{ENGINE} is {engine!r}, which is no engine", todo=f"set it to {DUCKDB} or {SPARK}, or unset it"
        )
    return engine
