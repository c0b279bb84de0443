"""The version of contracts and models: what a date was built under, and whether that is still so."""

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

_FOLDERS = ("models", "macros", "seeds")
# What is said about a table, or checked of it, changes none of its rows.
_REMARKS = ("description", "data_tests", "unit_tests", "exposures")


def model_version(project: Path) -> str:
    """Return 12 hex digits that stay as long as the same records lead to the same tables."""
    digest = sha256()
    for path, body in _files(project):
        digest.update(f"{path}\n{body}\n".encode())
    return digest.hexdigest()[:12]


def _files(project: Path) -> list[tuple[str, str]]:
    paths = [project / "dbt_project.yml"]
    paths += [path for folder in _FOLDERS for path in (project / folder).rglob("*") if path.is_file()]
    stamps = [(str(path), path.stat().st_mtime_ns) for path in sorted(paths)]
    return [(str(Path(path).relative_to(project)), _meaning(path, changed)) for path, changed in stamps]


@cache
def _meaning(path: str, changed: int) -> str:
    """Return a file's text, for YAML without its remarks; read once for each time it was `changed`."""
    text = Path(path).read_text()
    return repr(_stripped(yaml.safe_load(text))) if path.endswith((".yml", ".yaml")) else text


def _stripped(body: Any) -> Any:
    if isinstance(body, dict):
        return {name: _stripped(value) for name, value in body.items() if name not in _REMARKS}
    return [_stripped(one) for one in body] if isinstance(body, list) else body
