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

    with pytest.raises(Misconfigured, match=f"docs/settings.md .*:\n  {name.upper()}: "):
        load(tmp_path)


@pytest.mark.parametrize(
    ("machine", "instance"),
    [
        ("3f2a90c1b7de", "3f2a90c1b7de"),  # a container
        ("whaticket-ai-2", "whaticket-ai-2"),  # a pod of a StatefulSet
        ("host.example.com", "host-example-com"),
        ("x" * 60 + "-ai-2", "x" * 35 + "-ai-2"),
    ],
)
def test_a_process_that_is_given_no_name_has_its_machines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, machine: str, instance: str
) -> None:
    """Two containers of a service would take each other's place in the group else."""
    monkeypatch.setattr("socket.gethostname", lambda: machine)

    assert load(tmp_path).instance == instance


def test_a_session_that_no_broker_allows_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Kafka's ``group.max.session.timeout.ms`` is half an hour: a worker would never join."""
    monkeypatch.setenv("SESSION_TIMEOUT_S", "1801")

    with pytest.raises(Misconfigured, match=r"SESSION_TIMEOUT_S: .* less than or equal to 1800"):
        load(tmp_path)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://app:hidden@db:port/whaticket",
        "postgresql://app:p@ss:hidden@db:5432/whaticket",
        "postgresql://app:hidden@[db:5432/whaticket",
    ],
)
def test_a_database_that_cannot_be_read_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dsn: str
) -> None:
    monkeypatch.setenv("POSTGRES_DSN", dsn)

    with pytest.raises(Misconfigured, match=r"POSTGRES_DSN: .*it is postgresql://user:") as caught:
        load(tmp_path)

    assert "hidden" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://postgres@127.0.0.1:5432/whaticket",
        "postgres://app:p%40ss@db/whaticket?sslmode=require",
        "postgresql://app:x@one:5432,two:5433/whaticket",
        "postgresql://app:x@[::1]:5432/whaticket",
        "postgresql:///whaticket?host=/run/postgresql",
    ],
)
def test_a_database_may_be_written_in_every_way_that_its_client_reads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dsn: str
) -> None:
    monkeypatch.setenv("POSTGRES_DSN", dsn)

    assert load(tmp_path).postgres_dsn.get_secret_value() == dsn
