"""The whole log, read while the pipeline still writes it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from schemas.events import (
    ConversationChanged,
    Event,
    HandoffRequested,
    Position,
    SettingsChanged,
)
from schemas.topics import CONVERSATION_CHANGED, DAY_MS, MESSAGE_RECEIVED, TOPICS
from streams.replay import whole
from streams.replay.found import Found
from streams.replay.report import lines
from streams.replay.whole import Replayed, Wanted, replay
from streams.settings import Settings
from tests.agents.dispatch.talk import T0, message
from tests.streams.replay import mill as mills
from tests.streams.replay.mill import Mill
from tests.streams.replay.test_laws import mood_of


class Shelf:
    """Topics in memory; what is held back can be read from the second look on."""

    def __init__(self, found: list[Found], held_back: Collection[Found] = ()) -> None:
        self.found = found
        self.held_back = held_back
        self.looks = 0
        self.beginnings: dict[TopicPartition, int | None] = {}
        self.unreadable: list[tuple[Position, str]] = []

    async def ends(self, topics: Collection[str]) -> Mapping[Any, int]:
        return dict.fromkeys(topics, 0)

    async def cut(self, *_: Any, **__: Any) -> Mapping[TopicPartition, int | None]:
        return self.beginnings

    async def records(
        self, topics: Collection[str], *, since: Mapping[Any, int] | None = None, **_: Any
    ) -> AsyncIterator[tuple[Any, Event]]:
        self.looks += len(topics) > 1
        for each in self.found:
            place, early = each.position, self.looks > 1 or each not in self.held_back
            begun = (since or {}).get(TopicPartition(place.topic, place.partition), 0)
            if place.topic in topics and place.offset >= begun and early:
                yield (
                    SimpleNamespace(
                        topic=place.topic, partition=0, offset=place.offset, value=each.value
                    ),
                    each.event,
                )


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mills, "BUGS", 0)
    monkeypatch.setattr(mills, "REPEATED", 0)
    monkeypatch.setattr(whole, "LOOK_S", 0)


async def played(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Replayed:
    async def codec(_: Settings) -> object:
        return mills.CODEC

    monkeypatch.setattr(whole, "open_codec", codec)
    monkeypatch.setattr(whole, "Reading", lambda *_, **__: shelf)
    return await replay(Settings(), Wanted(), lambda _: None)


async def answered() -> list[Found]:
    mill = Mill(mood_of(1))
    mill.settle_on(version=7, burst_quiet_ms=0)
    mill.put(message("wamid.1", "quanto custa?", T0))
    await mill.rest()
    return mill.found()


def last(found: list[Found], kind: type[Event]) -> Found:
    return [each for each in found if isinstance(each.event, kind)][-1]


async def test_a_step_that_is_not_there_yet_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = await answered()
    shelf = Shelf(found, [last(found, HandoffRequested)])

    result = await played(shelf, monkeypatch)

    assert [verdict.difference for verdict in result.verdicts if verdict.difference] == []
    assert (result.undecided, result.records) == (0, len(found) - 1)  # settings are read apart


async def test_a_version_that_comes_while_the_log_is_read_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = await answered()
    shelf = Shelf([*found], [last(found, SettingsChanged)])
    shelf.looks = 1  # the topics of conversations are read before the settings

    result = await played(shelf, monkeypatch)

    assert [verdict.difference for verdict in result.verdicts if verdict.difference] == []


async def test_records_that_cannot_be_read_are_told_each_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelf = Shelf(await answered())
    bad = Position(topic=MESSAGE_RECEIVED.name, partition=0, offset=99)
    shelf.unreadable = [(bad, "bad_magic"), (bad, "bad_magic")]  # it was read twice

    result = await played(shelf, monkeypatch)

    assert "1 record left out: they cannot be read" in list(lines(result))


async def test_a_record_that_never_comes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = await answered()
    lost = last(found, HandoffRequested)

    result = await played(Shelf([each for each in found if each != lost]), monkeypatch)

    assert any(
        verdict.actor[0] == "dispatch"
        and verdict.difference is not None
        and verdict.difference.line.endswith(
            f"recorded (nothing), replayed a record {lost.event.event_id}"
        )
        for verdict in result.verdicts
    )


async def test_an_input_that_no_step_tells_of_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    found = await answered()
    lost = last(found, ConversationChanged)

    result = await played(Shelf([each for each in found if each != lost]), monkeypatch)

    assert result.undecided == 1


async def test_what_led_to_steps_may_be_gone_with_every_record_of_a_topic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody wrote for three weeks: of the topics that are kept for two nothing is left."""
    monkeypatch.setattr(
        whole, "WallClock", lambda: SimpleNamespace(now_ms=lambda: T0 + 21 * DAY_MS)
    )
    kept = {topic.name for topic in TOPICS if topic.retention_ms > 21 * DAY_MS}
    shelf = Shelf([each for each in await answered() if each.position.topic in kept])
    emptied = {topic.name for topic in TOPICS} - kept
    shelf.beginnings = {TopicPartition(topic, 0): None for topic in emptied}

    result = await played(shelf, monkeypatch)

    assert [verdict.difference for verdict in result.verdicts if verdict.difference] == []
    assert sum(verdict.skipped for verdict in result.verdicts) > 0


async def test_an_input_whose_step_retention_deleted_first_does_not_count_as_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = await answered()
    shelf = Shelf([each for each in found if each.position.topic == MESSAGE_RECEIVED.name])
    shelf.beginnings = {TopicPartition(CONVERSATION_CHANGED.name, 0): T0 + DAY_MS}

    result = await played(shelf, monkeypatch)

    assert (result.records, result.undecided) == (1, 0)
