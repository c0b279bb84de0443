"""The version of contracts and models under which a date was built."""

from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from ingestion.contract import read_yaml

MAKING_TABLES = ("models", "macros", "seeds")
# Descriptions and checks of a table change none of its rows.
_REMARKS = (
    "description",
    "data_tests",
    "unit_tests",
    "exposures",
    "expectations",
    "owner",
    "service_level",
    "dashboard",
    "freshness",
    "loaded_at_field",
)


def model_version(project: Path) -> str:
    """Return 12 hex digits that change with any file that may change the tables built from the same records."""
    digest = sha256()
    for path, changed in source_files(project):
        digest.update(f"{Path(path).relative_to(project)}\n{_meaning(path, changed)}\n".encode())
    return digest.hexdigest()[:12]


def source_files(project: Path, folders: Sequence[str] = MAKING_TABLES) -> tuple[tuple[str, int], ...]:
    """List the files of a dbt project, each with its time of change in nanoseconds; files that dbt writes are left out."""
    paths = [project / "dbt_project.yml"]
    paths += [path for folder in folders for path in (project / folder).rglob("*") if path.is_file()]
    return tuple((str(path), path.stat().st_mtime_ns) for path in sorted(paths))


@cache
def _meaning(path: str, changed: int) -> str:
    """Return a file's text, for YAML without `_REMARKS`; read once for each time it was `changed`.

    Files of descriptions (`.md`) count as empty.
    """
    if path.endswith(".md"):
        return ""
    return repr(_stripped(read_yaml(Path(path)))) if path.endswith((".yml", ".yaml")) else Path(path).read_text()


def _stripped(body: Any) -> Any:
    if isinstance(body, dict):
        return {name: _stripped(value) for name, value in body.items() if name not in _REMARKS}
    return [_stripped(one) for one in body] if isinstance(body, list) else body
