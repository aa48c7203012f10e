"""What a conversation at rest costs in memory."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator

from streams.state.records import Entry
from tests.streams.loop.fakes import FakeTable

CONVERSATIONS = 20_000
PARTITIONS = 24
APPLIED = {
    "inbox.message.received": 123_456,
    "inbox.human.replied": 123_456,
    "inbox.control.requested": 123_456,
    "conversation.timer.fired": 123_456,
    "agent.ai.response.generated": 123_456,
    "outbound.message.settled": 123_456,
}
BOUND = 200


def rests() -> Iterator[tuple[bytes, bytes, int]]:
    for number in range(CONVERSATIONS):
        entry = Entry(
            b"", APPLIED, epoch=40, marks=(2**32 - 1,) * 6, at_ms=1, away=2**56 - 1 - number
        )
        yield f"conv_{number:032x}".encode(), entry.dumps(), number % PARTITIONS


def test_a_conversation_at_rest_takes_less_than_two_hundred_bytes_of_memory() -> None:
    table = FakeTable()
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()

    table.apply(rests())

    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(table.absent) == CONVERSATIONS
    assert (after - before) / CONVERSATIONS < BOUND
    assert table.bytes == 0
