"""Every test has a home of its own: nothing is read from, or written to, the one of whoever runs the tests."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from ingestion.home import Home

# The machines are noisy: speed is shown by bench/, not by tests. A change is not held up by an example that has nothing
# to do with it: the examples are the same in each run, and others only where they are asked for (HYPOTHESIS_PROFILE=explore).
settings.register_profile("clearwell", deadline=None, max_examples=40, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=200, derandomize=False, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "clearwell"))


@pytest.fixture(autouse=True)
def _no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SHOP_DATABASE_URL", "SHOP_PRIMARY_URL", "CLICKSTREAM_LANDING", "CLEARWELL_SOURCES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home with a running shop, in which no day has passed yet."""
    from demo import postgres

    root = tmp_path_factory.mktemp("home")
    home = Home(root, root / "landing" / "clickstream")
    postgres.start(home)
    yield home
    postgres.stop(home)
