"""Parked conversations that no letter tells of any more: letters go, the flag stays.

The changelogs of the stages are read whole: a stage keeps the newest value of every conversation.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from schemas.topics import changelog
from streams.kafka.tailing import Tail
from streams.state.controls import CONTROL
from streams.state.records import Head, Unreadable

Owner = tuple[str, bytes, int]
"""Stage, key and partition of a conversation."""


async def ever_parked(bootstrap: str, stages: Collection[str], client_id: str) -> set[Owner]:
    """Return every conversation that a record of a changelog tells to be, or to have been, parked.

    Only these are remembered, so that a table of any size can be searched.

    Raises:
        Unavailable: No broker answers.
        Misconfigured: A changelog is missing.
    """
    named = {changelog(stage): stage for stage in stages}
    found: set[Owner] = set()
    async with Tail(bootstrap, client_id=client_id) as tail:
        counts = await tail.partitions(named)
        await tail.follow((name, at) for name, count in counts.items() for at in range(count))
        async for record in tail.catch_up():
            if _parked(record.key, record.value):
                found.add((named[record.topic], record.key, record.partition))
    return found


def _parked(key: bytes | None, raw: bytes | None) -> bool:
    if key is None or raw is None or key.startswith(CONTROL):
        return False
    with suppress(Unreadable):
        return Head.of(raw).parked is not None
    return False
