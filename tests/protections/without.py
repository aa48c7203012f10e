"""Takes each protection away, in a copy of the project, and shows that a test notices.

It is no part of the suite, because it takes some minutes; pytest runs it when it is named:

    .venv/bin/python -m pytest tests/protections/without.py
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from streams.settings import environment
from tests.protections.all import REMOVALS, ROOT
from tests.protections.removal import Removal

COPIED = ("agents", "schemas", "sinks", "streams", "tests", "pyproject.toml")
FAILED = 1
"""Exit status of pytest when tests ran, and some failed."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the code and its tests."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def ran(project: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """Run tests of a copy, on its own code."""
    return subprocess.run(  # noqa: S603 - our own tests
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=project,
        env={**environment(), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(600)
@pytest.mark.parametrize("removal", REMOVALS, ids=lambda removal: removal.title)
def test_without_it_a_test_fails(project: Path, removal: Removal) -> None:
    code = project / removal.module
    code.write_text(code.read_text("utf-8").replace(removal.old, removal.new), "utf-8")

    run = ran(project, removal.test)

    assert run.returncode == FAILED, run.stdout + run.stderr
    assert " failed" in run.stdout.splitlines()[-1], run.stdout


@pytest.mark.timeout(1200)
def test_with_all_of_them_every_test_passes(project: Path) -> None:
    run = ran(project, *sorted({removal.test for removal in REMOVALS}))

    assert run.returncode == 0, run.stdout + run.stderr
