from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import Misconfigured
from streams.settings import Settings, load

TIMES = [name for name, field in Settings.model_fields.items() if field.annotation is float]


def test_times_are_settings() -> None:
    assert {"session_timeout_s", "drain_s", "stuck_s", "idle_days"} <= set(TIMES)


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("value", ["inf", "nan", "-1", "soon"])
def test_a_time_that_is_none_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    monkeypatch.setenv(name.upper(), value)

    with pytest.raises(Misconfigured, match=f"these settings are wrong:\n  {name.upper()}: "):
        load(tmp_path)


def test_a_session_that_no_broker_allows_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Kafka's ``group.max.session.timeout.ms`` is half an hour: a worker would never join."""
    monkeypatch.setenv("SESSION_TIMEOUT_S", "1801")

    with pytest.raises(Misconfigured, match=r"SESSION_TIMEOUT_S: .* less than or equal to 1800"):
        load(tmp_path)
