"""Write a file whole or not at all: under another name first, which then takes the place of the file.

Readers see the old file or the new one, and two processes that write at once do not meet. What must outlive a power cut, or is
finished by whoever comes after a killed process, has names of its own: see `bronze` and `forgotten`.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to, which then takes the place of `path`. If writing fails, `path` stays as it is."""
    # process ids repeat on another machine that shares the folder
    aside = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def write(path: Path, content: str, *, mode: int | None = None) -> None:
    """Write a file's text, with these permissions if they are given."""
    write_bytes(path, content.encode(), mode=mode)


def write_bytes(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Write a file's bytes, with these permissions if they are given: from the first byte on."""
    with replacing(path) as aside:
        if mode is not None:
            aside.touch(mode=mode)
        aside.write_bytes(content)
