"""The files of a lake may be in S3."""

import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

import pytest
from pyarrow import fs

from ingestion.contract import PROJECT
from ingestion.home import Home
from operations import hashes, query
from tests.lake.conftest import Use, shared
from tests.lake.rows import rows_that_differ
from tests.pipeline.delivery import LINE, ORDER, land_rows
from tests.pipeline.test_any_order import make_shop
from warehouse import lakehouse
from warehouse.build import Request, build

pytestmark = pytest.mark.lake

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PATIENCE_SECONDS = 120
SERVER = PROJECT.parent / ".venv-s3" / "bin" / "moto_server"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """Yield an empty bucket of a server that speaks as S3 does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with (tmp_path / "s3.log").open("w") as log:
        server = subprocess.Popen([SERVER, "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                urlopen(address).close()
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < deadline, (tmp_path / "s3.log").read_text()
                time.sleep(0.1)
        for name, value in {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        fs.S3FileSystem(
            endpoint_override=address, access_key="key", secret_key="secret", allow_bucket_creation=True
        ).create_dir("lake")
        yield "s3://lake/clearwell"
    finally:
        server.kill()
        server.wait()


def test_a_lake_in_s3(bucket: str, use: Use, tmp_path: Path) -> None:
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
