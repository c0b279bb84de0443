"""Install the peers' packages in a virtual environment of their own, so that none of them becomes a dependency of Clearwell.

python -m bench.peers.install FOLDER
"""

import argparse
import subprocess
import sys
import venv
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def main() -> None:
    """Make the environment, and print its Python."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    print(python_of(parser.parse_args().folder))


def python_of(folder: Path) -> Path:
    """Return the Python of an environment with the peers' packages, which is made if it is missing or has other versions."""
    python, installed = folder / "bin" / "python", folder / REQUIREMENTS.name
    if not installed.exists() or installed.read_text() != REQUIREMENTS.read_text():
        print(f"installing the peers' packages in {folder}", file=sys.stderr)
        _make(folder, python)
        installed.write_text(REQUIREMENTS.read_text())
    return python.absolute()


def _make(folder: Path, python: Path) -> None:
    """Make an environment with the packages, in place of one that is there. SystemExit if pip fails, which says why itself."""
    venv.create(folder, clear=True, with_pip=True)
    done = subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--requirement", REQUIREMENTS])
    if done.returncode:
        sys.exit(f"pip: exit status {done.returncode}")


if __name__ == "__main__":
    main()
