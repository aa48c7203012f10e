"""How the redrive of one conversation ends, by what its changelog says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar, Self

import pytest
from aiokafka import TopicPartition
from msgspec import structs

from schemas.topics import changelog
from streams.cli.dlqtext import ending
from streams.deadletters import redriving, searching
from streams.deadletters.dlq import LARGEST, Original, Place, Verdict, dead_letter
from streams.deadletters.letters import Letter
from streams.deadletters.redriving import Desk, End
from streams.kafka.publish import Record
from streams.state.parking import Parking, Returned
from streams.state.records import Entry

FIRST = Parking("in.box/3/9", "bug", 1_700_000_000_000)
OTHER = Parking("timer/3/40", "bug", 1_700_000_001_000)


class Publisher:
    def __init__(self) -> None:
        self.posted: list[Record] = []

    async def start(self) -> None:
        pass

    async def publish(self, records: Iterable[Record]) -> None:
        written = list(records)
        assert written
        self.posted += written


class Told(Desk):
    """A desk whose changelogs say one flag after another; the last one stays."""

    def __init__(self, *flags: Parking | None, late: int = 0) -> None:
        self.late = late
        self.every = []
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


class Shown(Told):
    """The same with dead letters, as they were read."""

    def __init__(self, *flags: Parking | None, letters: Sequence[Letter]) -> None:
        super().__init__(*flags)
        self.every = list(letters)
        self.inputs = {"dispatch": ("timer", "in.box")}

    async def look(self, *_: Any) -> None:
        pass

    async def _records(self, *asked: Any) -> list[Record]:
        return await Desk._records(self, *asked)


def set_aside(number: int, value: bytes) -> Letter:
    original = Original(
        topic="in.box",
        partition=3,
        offset=8 + number,
        timestamp_ms=1,
        key=b"conv_1",
        value=value,
    )
    verdict = Verdict(reason="bug", group="g", stage="dispatch", first_failed_at_ms=1)
    record = dead_letter(original, verdict, Place(FIRST.parking_id, number))
    return Letter.of(SimpleNamespace(**structs.asdict(record), partition=3, offset=number))


BOTH = FIRST.behind()
LARGE = b"x" * LARGEST


async def test_a_record_that_its_letter_has_no_room_for_is_never_written_back_empty() -> None:
    letters = [set_aside(1, LARGE), set_aside(2, b"small")]
    desk = Shown(BOTH, letters=letters)

    result = await desk.redrive("dispatch", b"conv_1", wait_s=60)

    assert (result.end, result.written, result.flag) == (End.TOO_LARGE, 0, BOTH)
    assert desk.publisher.posted == []


async def test_a_record_that_its_letter_has_no_room_for_can_be_dropped() -> None:
    """Where no sink reads: one would take what is written for a bad record, and bury it."""
    letters = [set_aside(1, LARGE), set_aside(2, b"small")]
    desk = Shown(BOTH, BOTH, BOTH.advanced(), BOTH.advanced(), None, letters=letters)

    result = await desk.redrive("dispatch", b"conv_1", drop=[1])

    first, second = desk.publisher.posted
    assert result.end is End.RESUMED
    assert (first.topic, first.value) == ("timer", None)
    assert Returned.of(first.headers) == Returned(FIRST.parking_id, 1, dropped=True)
    assert (second.topic, second.value) == ("in.box", b"small")


class Logs:
    """Follows partitions of changelogs that hold some records; an empty log has one partition."""

    records: ClassVar[list[SimpleNamespace]] = []

    def __init__(self, _: str, *, client_id: str) -> None:
        self.client_id = client_id
        self.places: tuple[TopicPartition, ...] = ()
        self.left: list[SimpleNamespace] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def partitions(self, topics: Iterable[str]) -> dict[str, int]:
        return dict.fromkeys(topics, 4)

    async def follow(self, places: Iterable[tuple[str, int]]) -> None:
        self.places = tuple(TopicPartition(*place) for place in places)
        self.left = [
            each
            for each in self.records
            if TopicPartition(each.topic, each.partition) in self.places
        ]

    async def catch_up(self) -> AsyncIterator[SimpleNamespace]:
        while self.left:
            yield self.left.pop(0)


def stood(key: bytes, parked: Parking | None, stage: str = "dispatch") -> SimpleNamespace:
    value = Entry(b"{}", {"in.box": 9}, parked=parked).dumps()
    return SimpleNamespace(topic=changelog(stage), partition=3, key=key, value=value)


async def test_a_conversation_is_found_parked_though_all_its_letters_are_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Letters are kept for 30 days; it stays parked for as long as nobody does anything."""
    for module in (redriving, searching):
        monkeypatch.setattr(module, "Tail", Logs)
    foreign = SimpleNamespace(topic=changelog("dispatch"), partition=3, key=None, value=b"junk")
    away = [
        stood(b"conv_3", OTHER),
        SimpleNamespace(**{**vars(stood(b"conv_3", None)), "value": None}),
    ]
    monkeypatch.setattr(
        Logs,
        "records",
        [
            foreign,
            stood(b"conv_1", FIRST),
            stood(b"conv_2", OTHER),
            stood(b"conv_2", None),
            *away,
            stood(b"conv_1", BOTH),
            stood(b"conv_4", OTHER, stage="outbound"),
        ],
    )

    async with Desk("nowhere:1", topics=("in.box",)) as desk:
        await desk.look()
        before = dict(desk.flags)
        await desk.search(["dispatch"])
        some = dict(desk.flags)
        await desk.search(["dispatch", "outbound"])

    assert before == {}
    assert some == {("dispatch", b"conv_1"): BOTH}
    assert desk.flags == {**some, ("outbound", b"conv_4"): OTHER}
