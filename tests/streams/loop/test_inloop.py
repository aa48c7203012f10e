from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from streams.consumer.inloop import FETCH_WAIT_MS, IDLE_FETCH_WAIT_MS, InLoopConsumer


@pytest.mark.parametrize(
    ("moves", "waits_ms"),
    [
        ([(100.0, True), (100.9, False)], FETCH_WAIT_MS),
        ([(100.0, True), (101.1, False)], IDLE_FETCH_WAIT_MS),
        ([(100.0, True), (101.1, False), (101.2, True)], FETCH_WAIT_MS),
    ],
    ids=["just now", "quiet", "again"],
)
def test_a_fetch_waits_long_only_where_nothing_came_for_a_while(
    moves: list[tuple[float, bool]], waits_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetcher = SimpleNamespace(_fetch_max_wait_ms=0)
    consumer: Any = InLoopConsumer.__new__(InLoopConsumer)
    consumer._consumer = SimpleNamespace(_fetcher=fetcher)
    consumer.moved_at = 0.0
    for at_s, moved in moves:
        monkeypatch.setattr("streams.consumer.inloop.time.monotonic", lambda at_s=at_s: at_s)
        consumer.pace(moved)

    assert fetcher._fetch_max_wait_ms == waits_ms
