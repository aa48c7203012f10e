"""How the redrive of one conversation ends, by what its changelog says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from streams.cli.dlqtext import ending
from streams.deadletters.redriving import Desk, End
from streams.kafka.publish import Record
from streams.state.parking import Parking

FIRST = Parking("in.box/3/9", "bug", 1_700_000_000_000)
OTHER = Parking("timer/3/40", "bug", 1_700_000_001_000)


class Publisher:
    async def start(self) -> None:
        pass

    async def publish(self, records: Iterable[Record]) -> None:
        assert list(records)


class Told(Desk):
    """A desk whose changelogs say one flag after another; the last one stays."""

    def __init__(self, *flags: Parking | None, late: int = 0) -> None:
        self.late = late
        self.told: Iterator[Parking | None] = iter(flags)
        self.last: Parking | None = None
        self.publisher: Any = Publisher()

    async def flag(self, stage: str, key: bytes) -> Parking | None:
        assert (stage, key) == ("dispatch", b"conv_1")
        self.last = next(self.told, self.last)
        return self.last

    async def _records(self, *_: Any) -> list[Record]:
        if self.late:
            self.late -= 1
            return []
        return [Record("in.box", b"conv_1", b"bytes", ())]


@pytest.mark.parametrize(
    ("after", "end"),
    [(None, End.RESUMED), (OTHER, End.AGAIN), (FIRST.failed_again("bug"), End.FAILED)],
)
async def test_a_redrive_says_what_became_of_the_conversation(
    after: Parking | None, end: End
) -> None:
    result = await Told(FIRST, FIRST, after).redrive("dispatch", b"conv_1")

    assert (result.end, result.written, result.flag) == (end, 1, after)


async def test_an_operator_is_told_that_another_event_has_parked_it_since() -> None:
    result = await Told(FIRST, FIRST, OTHER).redrive("dispatch", b"conv_1")

    said = ending(result)

    assert "goes on" not in said
    assert "another event has parked it since (bug); numbers 1 to 1 wait" in said


async def test_a_letter_that_is_written_just_now_is_not_taken_for_one_that_is_gone() -> None:
    """A stage writes that it has set an event aside before it writes the letter."""
    result = await Told(FIRST, FIRST, FIRST, FIRST, None, late=2).redrive("dispatch", b"conv_1")

    assert (result.end, result.written) == (End.RESUMED, 1)


async def test_a_letter_that_does_not_come_is_gone() -> None:
    result = await Told(FIRST, late=1_000_000).redrive("dispatch", b"conv_1", wait_s=0.15)

    assert (result.end, result.written, result.flag) == (End.LOST, 0, FIRST)
