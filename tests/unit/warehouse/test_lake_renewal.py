"""What is repeated, undone and removed when a lake is written anew. Lakes themselves: tests/lake/test_forget.py."""

from pathlib import Path

import pytest

from ingestion.errors import Transient
from warehouse import lake_renewal
from warehouse.lakehouse import Overtaken


def test_who_is_overtaken_starts_again_some_times_at_most() -> None:
    tries: list[int] = []

    def act() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise Overtaken("by another")

    lake_renewal._repeated(act)
    assert len(tries) == 3

    def never() -> None:
        raise Overtaken("by another")

    with pytest.raises(Transient, match="kept changing the lake"):
        lake_renewal._repeated(never)


def test_files_and_objects_are_removed_also_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deleted: list[str] = []
    monkeypatch.setattr(lake_renewal.s3, "delete", deleted.append)
    path = tmp_path / "a.parquet"
    path.touch()
    for _ in range(2):
        lake_renewal._remove([str(path), "s3://bucket/b.parquet"])
    assert not path.exists() and deleted == ["s3://bucket/b.parquet"] * 2
