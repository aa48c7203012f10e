"""Where the embedded stack keeps its data and its downloads."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.settings import cache_home, home


def test_an_empty_variable_is_one_that_is_not_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ana")
    for name in ("WHATICKET_HOME", "WHATICKET_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "")

    assert home() == tmp_path / ".whaticket"
    assert cache_home() == Path("/home/ana/.cache/whaticket")


def test_a_user_without_a_home_may_say_where_the_cache_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)
    monkeypatch.delenv("WHATICKET_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert cache_home() == tmp_path / "whaticket"
