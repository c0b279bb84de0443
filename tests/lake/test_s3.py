"""The files of a lake may be in S3, and a person may be forgotten there."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from ingestion.errors import Permanent
from ingestion.home import Home
from ingestion.land import silent
from operations import forget, hashes, ledger, query
from operations.decide import By
from operations.forget import Person
from tests.lake import moto
from tests.lake.conftest import Use, shared
from tests.lake.rows import rows_that_differ
from tests.pipeline.delivery import LINE, ORDER, land_rows
from tests.pipeline.test_any_order import make_shop
from tests.pipeline.test_forget import CUSTOMER, ID, MAIL, NAME, customer
from warehouse import lakehouse
from warehouse.build import Request, build

pytestmark = pytest.mark.lake

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """Yield an empty bucket of a server that speaks as S3 does."""
    with moto.serving("lake", tmp_path / "s3.log", monkeypatch):
        yield "s3://lake/clearwell"


def test_a_lake_in_s3(bucket: str, use: Use, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop, home = make_shop(5), Home(tmp_path / "file", tmp_path / "landing")
    for dataset, columns, rows in (("orders", ORDER, shop.orders), ("order_items", LINE, shop.lines)):
        land_rows(home, dataset, columns, rows, NOW)
    lake = shared(home, tmp_path / "lake")
    use(lake, bucket)
    for one in (home, lake):
        build(one, Request(), NOW)
    first = hashes.read(home)
    land_rows(home, "orders", ORDER, shop.restored, NOW)
    for one in (home, lake):
        build(one, Request(), NOW.replace(hour=13))
    assert hashes.read(home) != first
    assert rows_that_differ(home.state, lake.state) == {}
    counted = "select count(*) from records.orders"
    builds = [one.build_id for one in lakehouse.builds(lake.state)]
    assert query.run(lake, counted, build_id=builds[0])[1] == [(len(shop.orders),)]
    assert query.run(lake, counted)[1] == [(len(shop.orders) + len(shop.restored),)]

    # so many that they are in objects: DuckLake keeps a few rows in its catalog
    others = [customer(f"cust-{number}", f"{number}@shop.example", f"Li {number}") for number in range(10, 60)]
    land_rows(home, "customers", CUSTOMER, [customer(ID, MAIL, NAME), *others], NOW)
    build(lake, Request(), NOW.replace(hour=14))
    assert canaries_in(bucket) == {ID, MAIL, NAME}
    person = Person(ID, values=(MAIL, NAME))
    places = {one.path for one in forget.check(lake, person)}
    assert [one for one in places if one.startswith(f"{bucket}/records/customers/")]
    forget.forget(lake, person, By("tester", NOW.replace(hour=15), "asked"), silent)
    assert canaries_in(bucket) == set() == {*forget.check(lake, person)}
    assert len(lakehouse.builds(lake.state)) == 1 and query.run(lake, counted)[1] != [(0,)]
    assert ledger.recount(lake) == ([], True)

    rows = query.run(lake, counted)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # the client reads the file once per process
    profiles = tmp_path / "profiles"
    profiles.write_text("[me]\naws_access_key_id = key\naws_secret_access_key = secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(profiles))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(Permanent, match="no profile and no role"):
        query.run(lake, counted)
    monkeypatch.setenv("AWS_PROFILE", "me")
    assert query.run(lake, counted) == rows


def canaries_in(bucket: str) -> set[str]:
    """Return what is said of the person in the values of all objects."""
    store = moto.client()
    objects = store.get_file_info(fs.FileSelector(bucket.removeprefix("s3://"), recursive=True))
    tables = [pq.read_table(one.path, filesystem=store) for one in objects if one.is_file]
    assert len(tables) > 10
    text = str([table.to_pylist() for table in tables])
    return {one for one in (ID, MAIL, NAME) if one in text}
