"""A state that is restated again and again does not grow: its blocks are used again."""

from pathlib import Path

from bench import restatements


def test_restatements_do_not_grow_the_state(tmp_path: Path) -> None:
    days, rows = 12, 20_000
    sizes = list(restatements.simulate(tmp_path, days=days, rows=rows, restatements=3 * days, look_every=days))
    assert [one.builds for one in sizes] == [12, 24, 36, 48]
    assert {one.rows for one in sizes} == {days * rows}
    first, *later = (one.file_bytes for one in sizes)
    # restated three times over: without reuse it would be four times as large
    assert max(later) < 2.5 * first
    assert later[-1] < 1.2 * later[0]
