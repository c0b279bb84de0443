"""Lines are appended whole, and only where there is a home."""

import json
from pathlib import Path

from ingestion.json_lines import append


def test_lines_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "2026-11.jsonl"
    append(path, [{"a": 1}, {"a": "two\nlines"}])
    append(path, [{"a": 3}])
    assert [json.loads(line)["a"] for line in path.read_text().splitlines()] == [1, "two\nlines", 3]


def test_no_home_is_made(tmp_path: Path) -> None:
    append(tmp_path / "home" / "runs" / "2026-11.jsonl", [{"a": 1}])
    assert not (tmp_path / "home").exists()
