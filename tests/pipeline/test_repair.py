"""A broken file stops only itself, `clearwell status` names it, and the commands it names restore an undisturbed home."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import COMMANDS, main
from ingestion import bronze
from ingestion.bronze import BatchRef
from ingestion.home import Home
from ingestion.window import Window
from operations import hashes, ledger, status
from tests.pipeline.copies import copied
from warehouse import state

NOW = datetime(2026, 11, 3, 6, tzinfo=UTC)
FIRST, SECOND = Window.parse("2026-11-01", "2026-11-02"), Window.parse("2026-11-02", "2026-11-03")


@dataclass(frozen=True)
class Typed:
    """Run command lines in a home."""

    home: Home

    def __call__(self, line: str) -> Result:
        env = {
            "CLEARWELL_HOME": str(self.home.root),
            "CLICKSTREAM_LANDING": str(self.home.landing),
            "SHOP_DATABASE_URL": self.home.database_url(),
        }
        words = line.split() + (["--reason", "test"] if "retract" in line or "--full" in line else [])
        result = CliRunner().invoke(main, words, env=env)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result


@pytest.fixture(scope="module")
def undisturbed(both_days: Home) -> list[state.Row]:
    """Return the hashes of a home that built the second day with nothing damaged."""
    assert status.read(both_days, NOW)["healthy"]
    return hashes.read(both_days)


def stop_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    for place, _ in COMMANDS.values():  # a command is imported on its first use
        import_module(f"cli.{place.partition(':')[0]}")
    for name, module in list(sys.modules.items()):
        if name.startswith("cli.") and hasattr(module, "now"):
            monkeypatch.setattr(module, "now", lambda: NOW)


@pytest.fixture
def typed(second_day: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Typed]:
    """Yield a copy of the home that a test may damage."""
    stop_the_clock(monkeypatch)
    yield Typed(copied(second_day, tmp_path / "home"))
    shutil.rmtree(tmp_path / "home")


@pytest.fixture
def typed_later(both_days: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Typed]:
    """Yield a copy of the home in which nothing waits for a build."""
    stop_the_clock(monkeypatch)
    yield Typed(copied(both_days, tmp_path / "home"))
    shutil.rmtree(tmp_path / "home")


def flip(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)


# Ways to damage a batch's folder.
DEEDS: dict[str, Callable[[Path], object]] = {
    "empty manifest": lambda folder: (folder / bronze.MANIFEST).write_bytes(b""),
    "truncated manifest": lambda folder: (folder / bronze.MANIFEST).write_bytes(
        (folder / bronze.MANIFEST).read_bytes()[:200]
    ),
    "manifest of other JSON": lambda folder: (folder / bronze.MANIFEST).write_text('["a", 1]'),
    "altered manifest": lambda folder: (folder / bronze.MANIFEST).write_text(
        (folder / bronze.MANIFEST).read_text().replace('"counted_by_source": ', '"counted_by_source": 1')
    ),
    "manifest of no text": lambda folder: (folder / bronze.MANIFEST).write_bytes(b"\xff\xfe\x00" * 50),
    "flipped byte": lambda folder: flip(folder / "part-0.parquet"),
    "truncated Parquet": lambda folder: (folder / "part-0.parquet").write_bytes(b"PAR1"),
    "missing Parquet": lambda folder: (folder / "part-0.parquet").unlink(),
}


def refs(home: Home, dataset: str, window: Window) -> list[BatchRef]:
    """List the batches of a day that have records."""
    found = bronze.list_batches(home, dataset, window.date)
    return [ref for ref in found if bronze.read_manifest(home, ref).records_written]


def test_a_damaged_batch_that_waits_stays_out_alone_and_is_landed_again(
    typed: Typed, undisturbed: list[state.Row]
) -> None:
    home = typed.home
    spoilt = dict(zip(DEEDS, refs(home, "clickstream", SECOND)[::-1], strict=False))
    spoilt["empty manifest of a snapshot"] = refs(home, "customers", SECOND)[0]
    for deed, ref in spoilt.items():
        DEEDS[deed.removesuffix(" of a snapshot")](bronze.batch_folder(home, ref))
    shown = typed("status")
    assert shown.exit_code == 1 and "clearwell repair" in shown.output
    assert all(ref.batch_id in shown.output for ref in spoilt.values())
    # an ingest of the day names the damage, and lands the rest
    assert "clearwell repair" in typed("ingest clickstream --from 2026-11-02 --to 2026-11-03").output
    built = typed("build")
    assert built.exit_code == 0 and "stays out" in built.output
    taken = {row["batch_id"] for row in state.read(home.state, "ops.batches", "select batch_id from ops.batches")}
    assert not taken & {ref.batch_id for ref in spoilt.values()}
    assert taken > {ref.batch_id for ref in refs(home, "exchange_rates", SECOND)}
    listed = typed("repair --dry-run")
    assert all(ref.batch_id in listed.output for ref in spoilt.values()) and not home.broken.exists()
    mended = typed("repair")
    assert mended.exit_code == 0, mended.output
    assert hashes.read(home) == undisturbed
    assert len(list(home.broken.glob("bronze/*/*/*.reason.json"))) == len(spoilt)
    assert status.read(home, NOW)["healthy"] and "healthy" in typed("status").output


def test_a_damaged_batch_in_the_state_stops_only_what_must_read_it(typed: Typed, undisturbed: list[state.Row]) -> None:
    home = typed.home
    (by_copy, gone, short, *_), by_landing = refs(home, "clickstream", FIRST), refs(home, "orders", FIRST)[0]
    DEEDS["truncated manifest"](bronze.batch_folder(home, by_copy))
    DEEDS["flipped byte"](bronze.batch_folder(home, by_landing))
    DEEDS["missing Parquet"](bronze.batch_folder(home, gone))
    DEEDS["truncated Parquet"](bronze.batch_folder(home, short))
    shown = typed("status")
    assert shown.exit_code == 1 and gone.batch_id in shown.output and short.batch_id in shown.output
    assert typed("build").exit_code == 0
    assert hashes.read(home) == undisturbed
    for again in ("build --full", "build --from 2026-11-01 --to 2026-11-02"):
        refused = typed(again)
        assert refused.exit_code == 1 and refused.output.strip().endswith("Next: clearwell repair")
        assert any(one.batch_id in refused.output for one in (by_copy, by_landing, gone, short))
    mended = typed("repair")
    assert mended.exit_code == 0, mended.output
    assert typed("build --full").exit_code == 0
    assert hashes.read(home) == undisturbed
    assert ledger.recount(home) == ([], True)


def test_a_damaged_batch_without_a_source_can_be_retracted_and_stops_nothing(typed: Typed, tmp_path: Path) -> None:
    home = typed.home
    ref = refs(home, "clickstream", FIRST)[0]
    landing = shutil.copytree(home.landing, tmp_path / "landing")
    hour = bronze.read_manifest(home, ref).window.start
    shutil.rmtree(landing / f"{hour:%Y-%m-%d}" / f"{hour:%H}")
    typed = Typed(Home(home.root, landing, home.shop_url))
    DEEDS["truncated Parquet"](bronze.batch_folder(home, ref))
    left = typed("repair")
    assert left.exit_code == 1 and f"clearwell batches retract {ref.batch_id}" in left.output
    assert typed(f"batches retract {ref.batch_id}").exit_code == 0
    assert typed("build").exit_code == 0
    before = hashes.read(home)
    assert typed("status").exit_code == 0 and typed("repair --dry-run").output.endswith("nothing is damaged\n")
    assert typed("build --full").exit_code == 0
    assert hashes.read(home) == before
    refused = typed(f"batches restore {ref.batch_id}")
    assert refused.exit_code == 1 and "clearwell repair" in refused.output
    # a decision has no source to land from again, but the state holds all of it
    DEEDS["flipped byte"](bronze.batch_folder(home, bronze.list_batches(home, "decisions")[0]))
    mended = typed("repair")
    assert mended.exit_code == 0, mended.output
    assert typed("repair --dry-run").output.endswith("nothing is damaged\n") and typed("status").exit_code == 0


def spoil_state(home: Home) -> None:
    home.state.write_bytes(b"garbage")


def spoil_both(home: Home) -> None:
    home.state.write_bytes(b"garbage")
    for path in (home.published, *home.published.parent.glob("kept/*")):
        path.unlink()
        path.write_bytes(b"garbage")


@pytest.mark.parametrize("spoil", [spoil_state, spoil_both])
def test_a_damaged_state_is_built_again_from_bronze(
    typed: Typed, undisturbed: list[state.Row], spoil: Callable[[Home], None]
) -> None:
    home = typed.home
    first = state.last_build(home.state)
    spoil(home)
    for line in ("status", "build", "hash", "ledger"):
        shown = typed(line)
        assert shown.exit_code == 1 and "clearwell repair" in shown.output, line
    mended = typed("repair")
    assert mended.exit_code == 0, mended.output
    assert hashes.read(home) == undisturbed and typed("status").exit_code == 0
    known = {row["build_id"] for row in state.read(home.state, "ops.builds", "select build_id from ops.builds")}
    assert (first in known) == (spoil is spoil_state), "the list of builds is kept if some file still has it"
    assert (home.broken / "warehouse.duckdb").read_bytes() == b"garbage"


def flip_each_block(path: Path) -> None:
    """Change a byte early in every block of a DuckDB file, since some blocks are free and never read."""
    body = bytearray(path.read_bytes())
    for block in range(3 * 4096, len(body), 256 * 1024):
        body[block + 100] ^= 1
    path.write_bytes(body)


def test_a_flipped_byte_in_the_state_is_found_and_built_again(typed_later: Typed, undisturbed: list[state.Row]) -> None:
    typed, home = typed_later, typed_later.home
    flip_each_block(home.state)
    assert typed("repair --dry-run").output.count("warehouse.duckdb") >= 1
    assert typed("repair").exit_code == 0
    assert hashes.read(home) == undisturbed and typed("status").exit_code == 0


def test_a_damaged_published_file_is_made_again_by_the_next_build_or_by_repair(
    typed_later: Typed, undisturbed: list[state.Row]
) -> None:
    typed, home = typed_later, typed_later.home
    given = home.published.read_bytes()
    home.published.unlink()  # the kept states share its content
    home.published.write_bytes(given[: len(given) // 2])
    assert typed("status").exit_code == 1
    assert typed("repair").exit_code == 0
    assert (home.broken / "published" / "warehouse.duckdb").exists()
    home.published.unlink()
    home.published.write_bytes(b"garbage")
    assert typed("build").exit_code == 0
    assert typed("status").exit_code == 0 and hashes.read(home) == undisturbed


def test_a_damaged_pin_keeps_readers_where_they_are(typed: Typed, undisturbed: list[state.Row]) -> None:
    home = typed.home
    given = state.last_build(home.published)
    pin = home.published.parent / "pinned.json"
    pin.write_text("{")
    assert typed("build").exit_code == 0
    assert state.last_build(home.published) == given
    shown = typed("status")
    assert shown.exit_code == 1 and "clearwell repair" in shown.output
    assert typed("repair").exit_code == 0
    assert json.loads(pin.read_text())["build_id"] == given
    assert typed("builds unpin").exit_code == 0
    assert typed("status").exit_code == 0 and hashes.read(home) == undisturbed


def test_garbage_in_a_plan_stops_that_build_only(typed_later: Typed, undisturbed: list[state.Row]) -> None:
    typed, home = typed_later, typed_later.home
    for number, name in enumerate(("plan.json", "findings.json")):
        folder = home.builds / f"20270101T00000{number}Z-garbage"
        folder.mkdir()
        (folder / name).write_text("[1")
    shown = typed("status")
    assert shown.exit_code == 1 and "20270101T000001Z-garbage" in shown.output and "clearwell repair" in shown.output
    refused = typed("builds show 20270101T000001Z-garbage")
    assert refused.exit_code == 1 and refused.output.strip().endswith("Next: clearwell repair")
    assert typed("repair").exit_code == 0
    assert typed("status").exit_code == 0 and hashes.read(home) == undisturbed
