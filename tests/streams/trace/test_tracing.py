"""Finding the conversation of a message on topics of any length."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.events import Event
from sinks.ports import Recorded
from streams.settings import Settings
from streams.story import tracing
from streams.story.tracing import NotOnTheLog, traced
from tests.streams.trace.logbook import CONVERSATION, Log, echoed, message


class Topics:
    """Topics in memory; counts what of them is asked for without a key."""

    def __init__(self, log: Iterable[Recorded]) -> None:
        self.log = list(log)
        self.looked_at = 0
        self.closed = False

    async def read(self, topics: Iterable[str], *, key: str | None = None) -> list[Recorded]:
        assert key is not None  # else every conversation of 30 days would be in memory at once
        wanted = set(topics)
        return [
            each
            for each in self.log
            if each.position.topic in wanted and each.event.conversation_id == key
        ]

    async def records(self, topics: Iterable[str]) -> AsyncIterator[tuple[Any, Event]]:
        wanted = set(topics)
        try:
            for each in self.log:
                if each.position.topic in wanted:
                    self.looked_at += 1
                    yield SimpleNamespace(), each.event
        finally:
            self.closed = True


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> Topics:
    log = Log()
    for number in range(5):
        log.add(message(f"wamid.{number}", 1000 + number))
    kept = Topics(log.records)

    async def codec(_: Settings) -> None:
        return None

    monkeypatch.setattr(tracing, "open_codec", codec)
    monkeypatch.setattr(tracing, "Reading", lambda *_: kept)
    return kept


async def test_the_log_is_read_up_to_the_message_and_nothing_of_it_is_kept(topics: Topics) -> None:
    told = await traced(Settings(), wamid="wamid.1")

    assert told.conversation_id == CONVERSATION
    assert (topics.looked_at, topics.closed) == (2, True)


async def test_what_was_written_in_the_phone_app_is_found(topics: Topics) -> None:
    echo = Log().add(echoed("wamid.echo", 9000))
    topics.log.append(echo)

    told = await traced(Settings(), wamid="wamid.echo")

    assert [entry.position for entry in told.entries] == [echo.position]


async def test_a_message_that_is_not_on_the_log_is_told(topics: Topics) -> None:
    with pytest.raises(NotOnTheLog, match=r"no message wamid\.x is on the topics"):
        await traced(Settings(), wamid="wamid.x")

    assert topics.looked_at == len(topics.log)
