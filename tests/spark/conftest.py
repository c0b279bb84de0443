"""One Spark that answers queries, for all tests that read records without a build."""

from collections.abc import Iterator

import pytest

from tests.spark.reading import Asked


@pytest.fixture(scope="session")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    started = Asked(tmp_path_factory.mktemp("spark"))
    yield started
    started.process.communicate()
