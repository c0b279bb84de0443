"""`repair` replaces the tables of a lake that has lost files, without reading them; and says what to do where it cannot."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingestion import lake
from ingestion.home import Home
from ingestion.land import silent
from operations import damage, hashes, ledger, repair
from tests.lake.conftest import Use, shared
from tests.lake.rows import rows_that_differ, types
from tests.pipeline.delivery import LINE, ORDER, land_lines, land_rows
from tests.pipeline.test_any_order import make_shop
from warehouse import lakehouse, state
from warehouse.build import Request, build

pytestmark = pytest.mark.lake

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
VIEWS = "select schema_name, view_name from duckdb_views() where database_name = current_database() and not internal"


def views(path: Path) -> set[tuple[str, str]]:
    with state.connect(path) as connection:
        return {*connection.execute(VIEWS).fetchall()}


def test_a_lake_that_has_lost_files_is_built_again(tmp_path: Path, use: Use) -> None:
    shop, home = make_shop(9), Home(tmp_path / "file", tmp_path / "landing")
    for dataset, columns, rows in (("orders", ORDER, shop.orders), ("order_items", LINE, shop.lines)):
        land_rows(home, dataset, columns, rows, NOW)
    land_lines(home, datetime(2026, 11, 3, tzinfo=UTC), shop.events, NOW)
    machine = shared(home, tmp_path / "machine")
    use(machine, "")
    for one in (home, machine):
        build(one, Request(), NOW)
    before, columns_before = hashes.read(machine), types(machine.state)
    assert damage.search(machine) == []
    files = [*Path(lake.read(machine.state).files).rglob("records/**/*.parquet")]
    assert len(files) > 2
    files[0].unlink()
    for one in files[1:]:
        one.write_bytes(one.read_bytes()[:-1] + b"?")
    found = damage.search(machine)
    assert [one.kind for one in found] == ["state"]

    assert repair.repair(machine, found, NOW.replace(hour=13), silent) == []
    assert damage.search(machine) == []
    assert hashes.read(machine) == before == hashes.read(home)
    assert views(machine.state) == views(home.state) and types(machine.state) == columns_before
    # these two say which build took a batch and built a date
    assert {*rows_that_differ(home.state, machine.state)} == {"ops.batches", "ops.dates"}
    assert ledger.recount(machine) == ([], True)
    assert lakehouse.builds(machine.state)[-1].build_id == state.last_build(machine.state)
    assert state.last_build(machine.published) == state.last_build(machine.state)
    land_rows(home, "orders", ORDER, shop.restored, NOW)
    for one in (home, machine):
        build(one, Request(), NOW.replace(hour=14))
    assert hashes.read(machine) == hashes.read(home)

    with closing(lake.catalog(lake.read(machine.state))) as catalog:
        catalog.execute("drop table ducklake_data_file cascade")
    (told,) = repair.repair(machine, [damage.Damage("state", machine.state, "lost")], NOW, silent)
    assert f"rm {machine.lake}" in told and "clearwell lake use CONNECTION FILES" in told
