"""A state in a lake has the rows that it would have in a file, after every kind of build, and can be asked as of each of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from ingestion.home import Home
from operations import decide, hashes, ledger, query
from tests.lake.conftest import Use, shared
from tests.lake.rows import rows_that_differ, types
from tests.pipeline.delivery import LINE, ORDER, land_lines, land_rows
from tests.pipeline.test_any_order import make_shop
from warehouse import lakehouse, state
from warehouse.build import Request, build

pytestmark = pytest.mark.lake

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@dataclass
class Pair:
    """A home with its state in a file, and one of the same bronze in a lake; and the file's hashes after each build."""

    home: Home
    lake: Home
    after: dict[str, list[state.Row]] = field(default_factory=dict)

    def build(self, request: Request, hour: int) -> None:
        for home in (self.home, self.lake):
            outcome = build(home, request, NOW.replace(hour=hour))
            assert outcome.plan and outcome.is_published
        self.after[outcome.plan.build_id] = hashes.read(self.home)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, use: Use) -> Iterator[Pair]:
    """Both homes after a first build, late records, a rebuilt range with a retracted batch, and a whole rebuild."""
    root, shop = tmp_path_factory.mktemp("equal"), make_shop(20261102)
    home = Home(root / "file", root / "landing")
    for dataset, columns, rows in (("orders", ORDER, shop.orders), ("order_items", LINE, shop.lines)):
        land_rows(home, dataset, columns, rows, NOW)
    land_lines(home, datetime(2026, 11, 3, tzinfo=UTC), shop.events[::2], NOW)
    pair = Pair(home, shared(home, root / "lake"))
    use(pair.lake, "")
    pair.build(Request(), 12)
    land_rows(home, "orders", ORDER, shop.restored, NOW.replace(hour=13))
    late = land_lines(home, datetime(2026, 11, 3, 5, tzinfo=UTC), shop.events[1::2], NOW.replace(hour=13))
    pair.build(Request(), 13)
    decide.retract(home, late, decide.By("a test", NOW.replace(hour=14), "a test"))
    pair.build(Request(date(2026, 11, 1), date(2026, 11, 3), reason="a range"), 14)
    pair.build(Request(full=True, reason="everything"), 15)
    yield pair


def test_every_row_is_equal(pair: Pair) -> None:
    assert rows_that_differ(pair.home.state, pair.lake.state) == {}
    assert hashes.read(pair.lake) == hashes.read(pair.home)


def test_the_published_file_is_equal_with_its_types(pair: Pair) -> None:
    assert rows_that_differ(pair.home.published, pair.lake.published) == {}
    assert types(pair.home.published) == types(pair.lake.published)


def test_the_recount_agrees(pair: Pair) -> None:
    assert ledger.recount(pair.lake) == ([], True)


def test_each_build_is_one_snapshot_that_can_be_asked(pair: Pair) -> None:
    builds = lakehouse.builds(pair.lake.state)
    assert [one.build_id for one in builds] == [*pair.after]
    assert [one.snapshot for one in builds] == [*range(1, len(builds) + 1)]
    for build_id, expected in pair.after.items():
        snapshot = lakehouse.find(pair.lake.state, build_id)
        with state.connect(pair.lake.state, snapshot=snapshot) as connection:
            assert [hashes.hash_table(connection, row["schema"], row["table"]) for row in expected] == expected
    last = "select max_by(build_id, build_number) from ops.builds"
    assert {build_id: query.run(pair.lake, last, build_id=build_id)[1][0][0] for build_id in pair.after} == {
        build_id: build_id for build_id in pair.after
    }


def test_a_typed_query_reads_the_lake_and_nothing_else(pair: Pair) -> None:
    counted = "select count(*) from records.orders"
    assert query.run(pair.lake, counted) == query.run(pair.home, counted)
    with query.session(pair.lake) as connection:
        for statement in (
            "from read_text('/etc/passwd')",
            "create table gold.mine (a int)",
            "delete from gold.daily_revenue",
            "from postgres_query('__ducklake_metadata_warehouse', 'delete from ducklake_snapshot returning 1')",
            "set enable_external_access = true",
        ):
            with pytest.raises(Exception, match=r"Permission|read-only|Cannot|locked|Failed to prepare"):
                connection.execute(statement)


def test_another_machine_reads_it_without_bronze(pair: Pair, use: Use, tmp_path: Path) -> None:
    reader = Home(tmp_path / "reader", tmp_path)
    use(reader, "")
    assert hashes.read(reader) == hashes.read(pair.home)
