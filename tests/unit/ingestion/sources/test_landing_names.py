"""Names in the landing folder: data is read or waits, leftovers of tools are ignored, and every stray is reported."""

from pathlib import Path

import pytest

from ingestion.sources.landing_names import MESSAGES, STILL_BEING_WRITTEN, name_of, strays, why_not_read
from ingestion.window import Window

WINDOW = Window.parse("2026-11-01", "2026-11-02")


@pytest.mark.parametrize("name", ["a.jsonl", "A.NDJSON", "a.jsonl.gz", "a.ndjson.ZST"])
def test_line_files_are_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}")
    assert why_not_read(tmp_path / name, (tmp_path / name).stat()) is None


@pytest.mark.parametrize(
    "name", ["README.md", "_SUCCESS", "a.jsonl.crc", ".hidden", "SHA256SUMS", "a.done", "Thumbs.db"]
)
def test_what_tools_leave_is_no_data(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    assert why_not_read(tmp_path / name, (tmp_path / name).stat()) is None


@pytest.mark.parametrize("name", ["a.jsonl.tmp", "a.jsonl.part", "a.jsonl~", ".a.jsonl.Xy12", "_temporary"])
def test_what_is_unfinished_waits(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.mkdir() if name == "_temporary" else path.write_text("x")
    assert why_not_read(path, path.stat()) == STILL_BEING_WRITTEN


@pytest.mark.parametrize(
    ("name", "said"), [("a.csv", "only .jsonl"), ("a.json", "only .jsonl"), ("folder", "a folder")]
)
def test_what_may_be_data_says_why_it_is_not_read(tmp_path: Path, name: str, said: str) -> None:
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
        assert why_not_read(path, path.stat()) is None, "an empty folder holds nothing back"
        path = path / "a.jsonl"
    path.write_text("x")
    shown = tmp_path / name
    assert said in (why_not_read(shown, shown.stat()) or "")


@pytest.mark.parametrize(
    ("place", "hours"),
    [
        ("2026-11-01/9/a.jsonl", [9]),
        ("2026-11-01/hour=23/a.jsonl", [23]),
        ("20261101/09/a.jsonl", [9]),
        ("dt=2026-11-01/05/a.jsonl", [5]),
        ("2026-11-01/07", [7]),
        ("2026-11-01/09/a.jsonl", []),
        ("2026-11-03/9/a.jsonl", []),
    ],
)
def test_an_hour_that_is_written_otherwise_waits(tmp_path: Path, place: str, hours: list[int]) -> None:
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_text("{}")
    found = strays(tmp_path, WINDOW)
    assert sorted(hour.start.hour for hour in found.waiting) == hours
    assert found.messages == []


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("a.jsonl", "a.jsonl is in no hour's folder"),
        ("old/a.jsonl", "old is not a date"),
        ("2026-11-01/a.jsonl", "2026-11-01/a.jsonl is in no hour's folder"),
        ("2026-11-01/25/a.jsonl", "2026-11-01/25 is in no hour's folder"),
        ("2025-1-5/00/a.jsonl", "rename it to 2025-01-05"),
    ],
)
def test_what_belongs_to_no_hour_is_told(tmp_path: Path, place: str, said: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text("{}")
    (message,) = strays(tmp_path, WINDOW).messages
    assert said in message


def test_thousands_of_strays_are_a_few_lines(tmp_path: Path) -> None:
    for number in range(MESSAGES + 30):
        (tmp_path / f"{number}.csv").write_text("x")
    messages = strays(tmp_path, WINDOW).messages
    assert len(messages) == MESSAGES + 1 and messages[-1].startswith("and 30 more")


def test_a_name_that_is_no_text_can_be_shown(tmp_path: Path) -> None:
    assert name_of(tmp_path / "caf\udce9", tmp_path) == "caf\\xe9"
