"""The peers' environment is made once, and again for other versions."""

from pathlib import Path

import pytest

from bench.peers import install


def test_an_environment_is_made_once_for_its_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, folder, made = tmp_path / "requirements.txt", tmp_path / "venv", []

    def make(folder: Path, python: Path) -> None:
        folder.mkdir(exist_ok=True)
        made.append(python)

    monkeypatch.setattr(install, "REQUIREMENTS", wanted)
    monkeypatch.setattr(install, "_make", make)
    for versions, times in (("polars==1", 1), ("polars==1", 1), ("polars==2", 2)):
        wanted.write_text(versions)
        assert install.python_of(folder) == folder / "bin" / "python"
        assert len(made) == times


def test_what_failed_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def fail(folder: Path, python: Path) -> None:
        made.append(folder)
        raise SystemExit("pip: exit status 1")

    monkeypatch.setattr(install, "_make", fail)
    for _ in range(2):
        with pytest.raises(SystemExit, match="pip"):
            install.python_of(tmp_path / "venv")
    assert len(made) == 2


def test_every_version_is_pinned() -> None:
    lines = [line for line in install.REQUIREMENTS.read_text().splitlines() if not line.startswith("#")]
    assert len(lines) > 10
    assert all(line.count("==") == 1 for line in lines)
