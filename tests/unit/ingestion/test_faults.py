"""Faults of the machine: how the system, DuckDB and dbt report them, and what Clearwell says."""

import errno
import os
import pickle
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from ingestion import database, faults
from ingestion.errors import Broken, Permanent, Transient


@pytest.mark.parametrize(
    ("number", "kind", "said"),
    [
        (errno.ENOSPC, Permanent, "the disk is full"),
        (errno.EDQUOT, Permanent, "the disk quota is used up"),
        (errno.EROFS, Permanent, "the file system is read-only"),
        (errno.EACCES, Permanent, "permission denied"),
        (errno.EPERM, Permanent, "operation not permitted"),
        (errno.EMFILE, Permanent, "too many open files"),
        (errno.EIO, Transient, "the disk failed to read or write"),
        (errno.ECONNRESET, Transient, "the connection was cut"),
        (errno.EXDEV, Transient, "invalid cross-device link"),
    ],
)
def test_a_fault_of_the_system_has_a_name_a_place_and_a_next_step(number: int, kind: type, said: str) -> None:
    with pytest.raises(kind) as caught, faults.named("the home"):
        raise OSError(number, os.strerror(number), "some/file")
    assert caught.value.what == said and caught.value.where == "some/file" and caught.value.todo
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value) and "\n" not in str(again)
    elsewhere = faults.fault_of(OSError(number, os.strerror(number)), where="the home")
    assert elsewhere and elsewhere.where == "the home"


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ('IO Error: Could not write file "h/b.duckdb": No space left on device', Permanent, "the disk is full"),
        (
            'TransactionContext Error: Failed to commit: Could not write file "h/s.duckdb.wal": No space left on device',
            Permanent,
            "the disk is full",
        ),
        (
            "FATAL Error: Failed: database has been invalidated because of a previous fatal error.\n"
            'Original error: "IO Error: Could not write file "h/b.duckdb": Disk quota exceeded"',
            Permanent,
            "the disk quota is used up",
        ),
        ("Out of Memory Error: failed to offload data block of size 256.0 KiB", Permanent, "the disk is full"),
        ('IO Error: Cannot open file "h/b.duckdb": Permission denied', Permanent, "permission denied"),
        ('IO Error: Cannot open file "h/b.duckdb": Read-only file system', Permanent, "the file system is read-only"),
        ('IO Error: Cannot open file "h/p.parquet": Too many open files', Permanent, "too many open files"),
        (
            'IO Error: Could not read from file "h/p": Input/output error',
            Transient,
            "the disk failed to read or write",
        ),
        ("[Errno 28] No space left on device: 'h/target/manifest.json'", Permanent, "the disk is full"),
        ("IO Error: Corrupt database file: computed checksum 1 does not match", Broken, "a file is damaged"),
        ("Invalid Input Error: No magic bytes found at end of file 'h/p.parquet'", Broken, "a file is damaged"),
    ],
)
def test_what_duckdb_says_is_told_by_its_kind_also_within_dbt(text: str, kind: type, said: str) -> None:
    for told in (text, f"Runtime Error in model staging_orders (models/staging/staging_orders.sql)\n  {text}"):
        found = faults.fault_in(told)
        assert type(found) is kind and found.what.startswith(said) and found.todo


@pytest.mark.parametrize(
    "text",
    [
        "Binder Error: no such column",
        "Conversion Error: Could not convert string 'IO Error: No space left on device' to INT32",
        "Got 3 results, configured to fail if != 0",
        "Catalog Error: Table with name no_space_left does not exist",
    ],
)
def test_what_is_no_fault_of_the_machine_is_left_alone(text: str) -> None:
    assert faults.fault_in(text) is None
    with pytest.raises(ValueError, match="as it is"), faults.named():
        raise ValueError("as it is")


def test_a_path_is_no_part_of_what_went_wrong(tmp_path: Path) -> None:
    """A missing file in a folder named after a fault is reported as a missing file."""
    folder = tmp_path / "Could not set lock on file, No space left on device"
    with pytest.raises(duckdb.IOException) as caught:
        duckdb.connect(str(folder / "x.duckdb"))
    assert not faults.is_busy(caught.value)
    assert faults.fault_of(caught.value) is None


def test_a_busy_file_names_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "state.duckdb"
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        holder.stdout.readline()
        with (
            pytest.raises(Transient, match=rf"PID {holder.pid}\) holds the database"),
            database.connect(path, patience=0),
        ):
            pass
        with pytest.raises(duckdb.IOException) as caught:
            duckdb.connect(str(path))
        holder.communicate()
    told = f"Runtime Error in test complete (models/x.yml)\n  {caught.value}"
    found = faults.fault_in(told)
    assert isinstance(found, Transient) and str(holder.pid) in found.what and found.where == str(path)


@pytest.mark.parametrize("size", [0, 1, 50_000])
def test_a_damaged_file_leads_to_repair(tmp_path: Path, size: int) -> None:
    path = tmp_path / "state.duckdb"
    path.write_bytes(b"garbage "[:size] * max(size // 8, 1))
    with pytest.raises(Broken) as caught, faults.named(), database.connect(path):
        pass
    assert caught.value.todo == "clearwell repair" and str(path) in str(caught.value)
