"""Headers that only somebody else can have written: their record is one bad record, no more."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streams.kafka.batching import event_type
from streams.kafka.publish import Record
from streams.processor import loop
from tests.streams.loop.fakes import NAMES, FakeMessage, Rig
from tests.streams.loop.harness import DEADLINE_S
from tests.streams.loop.toy import JsonCodec, Toys, received

INBOX = NAMES.inbox.name
GOOD = JsonCodec().encode(received(NAMES, 0, 0))
PARKED = ("dlq.parking", b"inbox/0/1")
HEADERS: dict[str, tuple[tuple[str, Any], ...]] = {
    "no value": (("x-their-own", None),),
    "no type": (("ce_type", None),),
    "no parking": (("dlq.parking", None),),
    "no number": (PARKED, ("dlq.sequence", None)),
    "a number without an end": (PARKED, ("dlq.sequence", b"9" * 5000)),
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BACKOFF_S", "LONGEST_BACKOFF_S", "WAIT_S", "LONGEST_WAIT_S"):
        monkeypatch.setattr(loop, name, 0.001)


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS.keys())
@pytest.mark.parametrize("value", [GOOD, b"junk"], ids=["good", "junk"])
async def test_a_record_with_foreign_headers_ends_and_harms_nobody(
    headers: tuple[tuple[str, Any], ...], value: bytes
) -> None:
    rig = Rig(Toys(NAMES).talk)
    message = FakeMessage(INBOX, 0, b"conv_0", value, headers=headers)

    assert rig.lanes.take(message)
    async with asyncio.timeout(DEADLINE_S):
        await rig.idle()

    assert rig.app.crashed is None
    assert rig.app.consumer.settled == [message]
    assert len(rig.publisher.on(NAMES.inbox.dlq)) == (value == b"junk")


def test_a_dead_letter_brings_no_name_of_its_own_into_the_metrics() -> None:
    ours, theirs = (
        Record("inbox.message.received.dlq", b"k", b"v", (("ce_type", name),))
        for name in (b"inbox.message.received", b"Maria, +55 11 98888-7777")
    )

    assert event_type(ours) == b"inbox.message.received"
    assert event_type(theirs) == "inbox.message.received.dlq"
