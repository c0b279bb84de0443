"""Append lines of JSON to a file that several processes write at the same time."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def append(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """Append lines in one write, so that they stay whole. Without the folder's parent, the home, nothing is written."""
    if not path.parent.parent.is_dir():
        return
    path.parent.mkdir(exist_ok=True)
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, text)
    finally:
        os.close(descriptor)
