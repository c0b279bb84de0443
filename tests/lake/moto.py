"""A server that speaks as S3 does, with one empty bucket. `make test-lake` and `make test-spark` install it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyarrow import fs

from ingestion.contract import PROJECT
from tests.spark.servers import free_port, wait_for

PATIENCE_SECONDS = 120
SERVER = PROJECT.parent / ".venv-s3" / "bin" / "moto_server"


@contextmanager
def serving(bucket: str, log: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start a server whose address and keys are in the usual variables, and make a bucket."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with log.open("w") as output:
        server = subprocess.Popen([SERVER, "-H", "127.0.0.1", "-p", str(port)], stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for(server, port, PATIENCE_SECONDS)
        assert server.poll() is None, log.read_text()
        for name, value in {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        client(allow_bucket_creation=True).create_dir(bucket)
        yield
    finally:
        server.kill()
        server.wait()


def client(**options: bool) -> fs.S3FileSystem:
    """Return a connection to the server."""
    return fs.S3FileSystem(
        endpoint_override=os.environ["AWS_ENDPOINT_URL"], access_key="key", secret_key="secret", **options
    )
