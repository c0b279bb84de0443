"""Land files whole, and once: those that windows of several lengths read, such as a file for a month without event times.

A window leaves out a file whose rows a batch of another window holds already. If the file changes, it lands again as it is then.
"""

from collections.abc import Sequence
from functools import cached_property
from hashlib import blake2b

from ingestion import bronze
from ingestion.contract import Contract
from ingestion.land import Run
from ingestion.manifest import Reading
from ingestion.window import DAY


def are_read_again(contract: Contract, *, is_dated: bool) -> bool:
    """Say whether files that land whole are read by several windows: files of no day, or of a day or hour that a sweep visits too."""
    return not is_dated or contract.cadence < DAY


class Once:
    """Decide for each whole file whether a window takes it, and account for those that it leaves."""

    def __init__(self, run: Run, contract: Contract) -> None:
        self._run, self._contract = run, contract
        self._files: list[str] = []
        self._landed_before = 0

    def takes(self, period: str, columns: Sequence[str], signs: int, rows: int, edition: str | None) -> bool:
        """Say whether the window takes a file: of a period, with these columns and rows, by the sum of the rows' hashes."""
        content = repr((period, sorted(columns), signs % (1 << 64), rows, edition)).encode("utf-8", "backslashreplace")
        name = blake2b(content, digest_size=8).hexdigest()
        if name in self._landed:
            self._landed_before += rows
            return False
        self._files.append(name)
        return True

    @cached_property
    def _landed(self) -> frozenset[str]:
        """The files that batches hold. A window lands its own again, so that it gives the same batch."""
        return frozenset(
            name
            for manifest in bronze.counting(self._run.home, self._contract.dataset)
            if manifest.reading and manifest.window != self._run.window
            for name in manifest.reading.files
        )

    def reading(self, read: int, landed: int) -> Reading:
        """Describe what was read, for the manifest."""
        return Reading(read, landed, landed_before=self._landed_before, files=tuple(sorted(self._files)))

    def messages(self, read: int) -> list[str]:
        """Return what did not land with this window because it had."""
        if not self._landed_before:
            return []
        name = f"{self._contract.dataset} {self._run.window}"
        return [f"{name}: of {read:,} rows read, {self._landed_before:,} landed before, and their files are unchanged"]
