"""The four import names belong to this repository, and to nobody else."""

from __future__ import annotations

import importlib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("streams", "schemas", "agents", "sinks")
TOP_LEVEL = {
    "pyproject.toml",
    "uv.lock",
    "README.md",
    "LICENSE",
    "Makefile",
    "docker-compose.yml",
    "deploy",
    "docs",
    "tests",
    *OURS,
}


@pytest.mark.parametrize("name", OURS)
def test_each_import_name_resolves_to_this_repository(name: str) -> None:
    module = importlib.import_module(name)

    assert module.__file__ is not None
    assert Path(module.__file__).resolve().is_relative_to(ROOT)


@pytest.mark.parametrize("name", OURS)
def test_no_other_distribution_installs_one_of_our_names(name: str) -> None:
    owners = set(packages_distributions().get(name, ["whaticket-streams"]))

    assert owners == {"whaticket-streams"}


def test_the_top_level_holds_only_what_the_design_names() -> None:
    # Folders that tools make (.venv, .git, caches) begin with a dot.
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}

    assert found <= TOP_LEVEL
