"""A file is whole at every moment, whoever writes it at once, fails or is killed."""

import os
import stat
import threading
from pathlib import Path

import pytest

from ingestion import atomic

WAIT_SECONDS = 60


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_text_and_bytes_are_written_and_replaced(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    atomic.write(file, "größer\n")
    assert file.read_bytes() == "größer\n".encode()
    atomic.write_bytes(file, b"\xff\x00")
    assert file.read_bytes() == b"\xff\x00" and names(tmp_path) == ["a.json"]


def test_permissions_are_those_of_any_file_or_those_given(tmp_path: Path) -> None:
    (tmp_path / "any").write_text("")
    atomic.write(tmp_path / "plain", "x")
    atomic.write(tmp_path / "private", "x", mode=0o600)
    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in names(tmp_path)}
    assert modes["plain"] == modes["any"] and modes["private"] == 0o600


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    atomic.write(file, "old")
    with pytest.raises(ZeroDivisionError), atomic.replacing(file) as aside:
        aside.write_text("half")
        assert file.read_text() == "old"
        raise ZeroDivisionError
    assert file.read_text() == "old" and names(tmp_path) == ["a.json"]


def test_two_that_write_at_once_do_not_meet(tmp_path: Path) -> None:
    file, both = tmp_path / "a.json", threading.Barrier(2)
    failed: list[BaseException] = []

    def write(text: str) -> None:
        try:
            with atomic.replacing(file) as aside:
                both.wait(WAIT_SECONDS)
                aside.write_text(text)
                both.wait(WAIT_SECONDS)
        except BaseException as error:
            failed.append(error)

    writers = [threading.Thread(target=write, args=[text]) for text in ("one", "other")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(WAIT_SECONDS)
    assert not failed and file.read_text() in ("one", "other") and names(tmp_path) == ["a.json"]


def test_two_processes_write_under_names_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asides = []
    for process, host in ((1, "one"), (2, "one"), (1, "other")):
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        monkeypatch.setattr("socket.gethostname", lambda host=host: host)
        with atomic.replacing(tmp_path / "a.json") as aside:
            aside.write_text("")
            asides.append(aside.name)
    assert len(set(asides)) == 3 and all(name.startswith(".a.json.") for name in asides)
