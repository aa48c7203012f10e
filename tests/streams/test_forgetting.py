"""What is written, and in which order, when a conversation is forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from types import SimpleNamespace
from typing import Any, Self

import pytest

from schemas.errors import Misconfigured
from schemas.topics import STATEFUL_STAGES, changelog
from streams.state import forgetting
from streams.state.forgetting import Where, anew, check, forget, whereabouts
from streams.state.records import Entry
from tests.streams.loop.fakes import FakePublisher

KEY = b"conv_1"


class Changelogs:
    """Every changelog has a value, and behind it one that nobody can read."""

    def __init__(self, _: str, *, client_id: str) -> None:
        self.client_id = client_id

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def partitions(self, topics: Iterable[str]) -> dict[str, int]:
        return dict.fromkeys(topics, 1)

    async def follow(self, places: Iterable[tuple[str, int]]) -> None:
        assert [number for _, number in places] == [0] * len(STATEFUL_STAGES)

    async def catch_up(self) -> AsyncIterator[Any]:
        for stage in STATEFUL_STAGES:
            for value in (Entry(b"{}", {"m": 1}).dumps(), b"of a release to come"):
                yield SimpleNamespace(topic=changelog(stage), key=KEY, value=value)


async def test_a_value_that_cannot_be_read_is_skipped_as_recovery_skips_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nobody: Any = None
    monkeypatch.setattr(forgetting, "Tail", Changelogs)

    found = await whereabouts("nowhere:1", nobody, KEY)

    assert found == dict.fromkeys(STATEFUL_STAGES, Where.CHANGELOG)


async def test_what_is_lost_is_forgotten_last_so_that_a_cut_is_found_again() -> None:
    publisher = FakePublisher()
    found = {
        "dispatch": Where.LOST,
        "ai": Where.NOWHERE,
        "tools": Where.AT_REST,
        "outbound": Where.LOST,
    }

    await forget(publisher, b"conv_1", found)

    sent = [record for record, _ in publisher.posted]
    stages = [record.topic.split(".")[1] for record in sent]
    assert stages == ["ai", "tools", "dispatch", "outbound"]
    assert {(record.key, record.value) for record in sent} == {(b"conv_1", None)}


@pytest.mark.parametrize("stage", ["ai", "tools", "outbound"])
async def test_a_stage_that_lost_its_state_begins_anew_alone_when_dispatch_knows_the_epoch(
    stage: str,
) -> None:
    """What waits for it has dispatch's epoch: it would take what a new dispatch says for old."""
    publisher = FakePublisher()
    found = dict.fromkeys(STATEFUL_STAGES, Where.CHANGELOG) | {stage: Where.LOST}

    await forget(publisher, b"conv_1", found)

    assert [record.topic for record, _ in publisher.posted] == [changelog(stage)]


def test_what_waits_at_a_stage_that_goes_on_keeps_nobody_from_forgetting() -> None:
    """A turn that dispatch waits for is at the stage that lost its state."""
    found = {"dispatch": Where.BUSY, "ai": Where.LOST, "tools": Where.NOWHERE}
    check(found)
    assert anew(found) == ["ai"]

    with pytest.raises(Misconfigured, match="waits at outbound"):
        check({"dispatch": Where.LOST, "outbound": Where.BUSY})
    with pytest.raises(Misconfigured, match="nothing is to be forgotten"):
        check({"dispatch": Where.BUSY, "outbound": Where.AT_REST})
