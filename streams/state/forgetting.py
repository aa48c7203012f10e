"""A conversation whose state at rest is lost begins anew.

Where dispatch has lost it, at every stage at once: dispatch counts its epochs from 0 again, below
those that the gate has seen and that takeovers have written down, and nothing that the AI says
would be sent. A stage behind dispatch begins anew alone, for the same reason: what waits for it
has an epoch of dispatch's, and teaches it that one. Dispatch must go on from there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from enum import StrEnum
from typing import Any, Final, Protocol

from aiokafka.partitioner import murmur2

from schemas.errors import Misconfigured
from schemas.topics import STATEFUL_STAGES, changelog
from streams.kafka.partitioner import partition_of
from streams.kafka.publish import Publisher, Record
from streams.kafka.tailing import Tail
from streams.state.absent import fingerprint_of
from streams.state.belief import believe
from streams.state.records import Head, Unreadable

CLIENT: Final = "whaticket.forget"
ROOT: Final = "dispatch"
"""The stage that counts the epochs of a conversation."""


class Shelf(Protocol):
    """Where values rest (``sinks.resting``)."""

    async def find(self, stage: str, key: bytes, mark: int, /) -> bytes | None:
        """Return a value; None when there is none."""


class Where(StrEnum):
    """Where a stage has the state of a conversation."""

    NOWHERE = "knows nothing of it"
    CHANGELOG = "has its state in the changelog"
    BUSY = "has its state in the changelog, and something waits there"
    AT_REST = "has its state in Postgres"
    LOST = "has lost its state: it rests in Postgres, and the row is not there"


async def whereabouts(bootstrap: str, shelf: Shelf, key: bytes) -> dict[str, Where]:
    """Return where each stage has the state of a conversation.

    Raises:
        Unavailable: No broker answers, or Postgres does not.
        Misconfigured: A changelog is missing.
    """
    async with Tail(bootstrap, client_id=CLIENT) as tail:
        counts = await tail.partitions(map(changelog, STATEFUL_STAGES))
        await tail.follow((name, partition_of(murmur2(key), many)) for name, many in counts.items())
        heads = await _heads(tail.catch_up(), key)
    return {
        stage: await _where(shelf, stage, key, heads.get(changelog(stage)))
        for stage in STATEFUL_STAGES
    }


async def _heads(records: AsyncIterator[Any], key: bytes) -> Mapping[str, Head]:
    """Return what recovery would believe."""
    heads: dict[str, Head] = {}
    async for record in records:
        if record.key == key:
            with suppress(Unreadable):  # it is left out there too
                believe(heads, record.topic, record.value)
    return heads


async def _where(shelf: Shelf, stage: str, key: bytes, head: Head | None) -> Where:
    if head is None:
        return Where.NOWHERE
    if head.away is None:
        waits = head.due_ms is not None or head.parked is not None
        return Where.BUSY if waits else Where.CHANGELOG
    found = await shelf.find(stage, key, head.away)
    return Where.LOST if found is None or fingerprint_of(found) != head.away else Where.AT_REST


def anew(found: Mapping[str, Where]) -> list[str]:
    """Return the stages at which a conversation begins anew; what is lost goes last."""
    every = found.get(ROOT) is Where.LOST
    stages = [stage for stage, where in found.items() if every or where is Where.LOST]
    return sorted(stages, key=lambda stage: found[stage] is Where.LOST)


def check(found: Mapping[str, Where]) -> None:
    """Check that a conversation is to be forgotten.

    Raises:
        Misconfigured: Nothing of it is lost, or something is still to be done of what would be
            forgotten with it.
    """
    stages = anew(found)
    if not stages:
        raise Misconfigured("no state of it is lost, so nothing is to be forgotten")
    if busy := [stage for stage in stages if found[stage] is Where.BUSY]:
        raise Misconfigured(
            f"something of it waits at {', '.join(busy)} (a bubble, a timer, or it is parked),"
            " and would be forgotten with it"
        )


async def forget(publisher: Publisher, key: bytes, found: Mapping[str, Where]) -> None:
    """Write that stages know nothing of a conversation any more; the workers must be stopped.

    What is lost goes last, so that what was cut short is found, and done, again.

    Raises:
        Unavailable: No broker answers.
    """
    for stage in anew(found):
        await publisher.publish([Record(changelog(stage), key, None)])
