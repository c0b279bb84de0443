"""Give every test its own home: no test reads or writes the home of the person who runs it."""

import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator

import psutil
import pytest
from hypothesis import settings

from ingestion.home import Home

# No deadlines: machines are noisy, and bench/ measures speed. Every run uses the same examples, so that a change does not
# fail on an example that it did not cause; HYPOTHESIS_PROFILE=explore tries others.
settings.register_profile("clearwell", deadline=None, max_examples=40, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=200, derandomize=False, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "clearwell"))
# Tests with models of their own would read the lineage of all columns again, for seconds; the tests of lineage turn it on.
os.environ["OPENLINEAGE_DISABLED"] = "true"
# What tests write is in memory where there is room for it, unless TMPDIR says otherwise: a build waits 250 times for the disk.
MEMORY, ROOM_BYTES = "/dev/shm", 8 * 10**9
if (
    "TMPDIR" not in os.environ
    and os.path.ismount(MEMORY)
    and os.access(MEMORY, os.W_OK)
    and min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available) > ROOM_BYTES
):
    os.environ["TMPDIR"] = tempfile.tempdir = MEMORY
# Where this is set, as in many containers, every process would compile the code again, and rewrite the assertions of all tests.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# With all that tests import, collecting garbage as often as usual takes a tenth of a build's time.
gc.set_threshold(100_000, 10, 10)
# A shell's job in the background ignores Ctrl-C, and so would the commands that tests stop by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    alerts = ("CLEARWELL_ALERTS", "CLEARWELL_WATCH_PING_URL", "CLEARWELL_RUNBOOK")
    for name in ("SHOP_DATABASE_URL", "SHOP_PRIMARY_URL", "CLICKSTREAM_LANDING", "CLEARWELL_SOURCES", *alerts):
        monkeypatch.delenv(name, raising=False)
    for name in (
        "OPENLINEAGE_URL",
        "OPENLINEAGE_CONFIG",
        "OPENLINEAGE_NAMESPACE",
        "OPENLINEAGE_PARENT_ID",
        "CLEARWELL_LOG",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Yield a home with a running shop, in which no day has been simulated yet."""
    from demo import postgres

    root = tmp_path_factory.mktemp("home")
    home = Home(root, root / "landing" / "clickstream")
    postgres.start(home)
    yield home
    postgres.stop(home)
