"""Dead letters as they are read back: what each says of itself, which are waiting, in what order.

Pure: the records and the flags of the conversations are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from schemas.events import Position
from schemas.topics import DLQ_SUFFIX
from streams.deadletters.dlq import LEFT_OUT
from streams.kafka.publish import Headers, Record, filled
from streams.state.parking import DROP, PARKING, PREFIX, SEQUENCE, STAGE, Parking

TRACE_PARTS: Final = 4
"""Parts of a W3C ``traceparent``: version, trace id, parent id, flags."""

Flags = Mapping[tuple[str, bytes], Parking]
"""The flag of each parked conversation, by stage and key."""


class Standing(StrEnum):
    """How a dead letter stands."""

    WAITING = "waiting"  #: Its conversation is parked, and it was not decided yet.
    DONE = "done"  #: It came back and was decided, or it was dropped.
    ALONE = "alone"  #: It never parked anything: it was closed at once, or is no event.


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One dead letter.

    Attributes:
        position: Where it stands on its dead letter topic.
        original: Where the record stood when it failed first; -1 when it was never on a topic.
        original_ms: The record's time, Unix milliseconds.
        key: The record's key, as read.
        value: Its bytes, as read.
        headers: Its headers and the ``dlq.*`` ones.
        stage: The stage or sink that gave it up; empty for letters of older releases.
        group: Its consumer group.
        reason: Why, as a short code.
        detail: One sentence about it.
        attempts: How often it was tried; 0 for one that was only set aside.
        first_failed_ms: When it failed, or was set aside, first.
        parking_id: The parking that it waits in; empty for one that is alone.
        number: Its number there; 0 for one that is alone.
        epoch: Epoch of the owner that gave the number.
        left_out: Bytes of a record that its letter has no room for; 0: the letter has all of it.
    """

    position: Position
    original: Position
    original_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    stage: str
    group: str
    reason: str
    detail: str
    attempts: int
    first_failed_ms: int
    parking_id: str
    number: int
    epoch: int
    left_out: int = 0

    @classmethod
    def of(cls, record: Any) -> Letter:
        """Read a record of a dead letter topic, as a Kafka client returns it."""
        headers = filled(record.headers)
        said = {
            name.removeprefix(PREFIX): value.decode(errors="replace")
            for name, value in headers
            if name.startswith(PREFIX)
        }
        return cls(
            position=Position(topic=record.topic, partition=record.partition, offset=record.offset),
            original=Position(
                topic=said.get("original.topic", record.topic.removesuffix(DLQ_SUFFIX)),
                partition=_number(said.get("original.partition"), -1),
                offset=_number(said.get("original.offset"), -1),
            ),
            original_ms=_number(said.get("original.timestamp"), 0),
            key=record.key,
            value=record.value,
            headers=headers,
            stage=said.get("stage", ""),
            group=said.get("group", ""),
            reason=said.get("error.type", ""),
            detail=said.get("error.message", ""),
            attempts=_number(said.get("attempts"), 0),
            first_failed_ms=_number(said.get("first_failed_at"), 0),
            parking_id=said.get("parking", ""),
            number=_number(said.get("sequence"), 0),
            epoch=_number(said.get("epoch"), 0),
            left_out=_number(said.get(LEFT_OUT), 0),
        )

    @property
    def whole(self) -> bool:
        """Whether it has the record: else nothing of it may be written back."""
        return not self.left_out

    @property
    def conversation(self) -> str:
        """The conversation that it is keyed by; empty when it has no key."""
        return (self.key or b"").decode(errors="replace")

    @property
    def trace_id(self) -> str:
        """The trace that it belongs to, if its headers name one."""
        found = dict(self.headers).get("traceparent", b"").decode(errors="replace").split("-")
        return found[1] if len(found) == TRACE_PARTS else ""

    def standing(self, flags: Flags) -> Standing:
        """Say how it stands, given the flags of the conversations."""
        if not self.number:
            return Standing.ALONE
        flag = flags.get((self.stage, self.key or b""))
        mine = flag is not None and flag.parking_id == self.parking_id
        return Standing.WAITING if mine and flag and self.number >= flag.next else Standing.DONE

    def back(self, *, dropped: bool = False) -> Record:
        """Return the record that is written back to its topic."""
        more = ((DROP, b"1"),) if dropped else ()
        return Record(self.original.topic, self.key, self.value, (*self.headers, *more))


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which dead letters are meant; an empty field means any.

    Attributes:
        topic: Topic that the record came from.
        stage: Stage or sink that gave it up.
        conversation: Id of the conversation.
        reason: Why it was given up; for one that waits, why its conversation is parked.
    """

    topic: str = ""
    stage: str = ""
    conversation: str = ""
    reason: str = ""

    def means(self, letter: Letter, flags: Flags) -> bool:
        """Tell whether a letter is meant."""
        flag = flags.get((letter.stage, letter.key or b""))
        reasons = {letter.reason, flag.reason if flag is not None else ""}
        return (
            self.topic in ("", letter.original.topic)
            and self.stage in ("", letter.stage)
            and self.conversation in ("", letter.conversation)
            and (not self.reason or self.reason in reasons)
        )

    def wants(self, stage: str, key: bytes, flag: Parking) -> bool:
        """Tell whether a parked conversation is meant, whatever is left of its letters."""
        return (
            self.topic in ("", flag.parking_id.partition("/")[0])
            and self.stage in ("", stage)
            and self.conversation in ("", key.decode(errors="replace"))
            and self.reason in ("", flag.reason)
        )


def newest(letters: Iterable[Letter]) -> list[Letter]:
    """Return one letter for each record and for each number, as they were read.

    A crash or a second failure wrote some twice. An owner that had lost the partition may have
    given a number, and its successor the same one to another record: the higher epoch is right.
    """
    by_number = _best(letters, _number_of)
    return _best(by_number, lambda each: (each.parking_id, _first_place(each)))


def _best(letters: Iterable[Letter], same: Callable[[Letter], object]) -> list[Letter]:
    """Return of those that are the same the one of the highest epoch, then the last one."""
    found: dict[object, Letter] = {}
    for letter in letters:
        known = found.get((letter.stage, letter.key, same(letter)))
        if known is None or letter.epoch >= known.epoch:
            found[letter.stage, letter.key, same(letter)] = letter
    return list(found.values())


def _number_of(letter: Letter) -> object:
    return (letter.parking_id, letter.number) if letter.number else letter.position


def _first_place(letter: Letter) -> Position:
    return letter.original if letter.original.offset >= 0 else letter.position


def waiting(letters: Iterable[Letter], flag: Parking) -> dict[int, Letter]:
    """Return the letters of a parking that were not decided yet, by number."""
    found = {
        letter.number: letter
        for letter in letters
        if letter.parking_id == flag.parking_id and letter.number >= flag.next
    }
    return dict(sorted(found.items()))


def first_run(queue: Mapping[int, Letter], flag: Parking) -> tuple[Letter, ...]:
    """Return the next letters that came from one topic: what may be written without waiting.

    Between topics there is no order, so the stage must have come as far first. Nothing is written
    past a letter that has not its record: it would be an empty one.
    """
    run: list[Letter] = []
    for number in range(flag.next, flag.last + 1):
        letter = queue.get(number)
        if letter is None or not letter.whole:
            break
        if run and letter.original.topic != run[0].original.topic:
            break
        run.append(letter)
    return tuple(run)


def lost(stage: str, key: bytes, topic: str, flag: Parking) -> Record:
    """Return a record that drops the next number of a parking when its record is not to be had."""
    headers = (
        (STAGE, stage.encode()),
        (PARKING, flag.parking_id.encode()),
        (SEQUENCE, str(flag.next).encode()),
        (DROP, b"1"),
    )
    return Record(topic, key, None, headers)


def _number(text: str | None, otherwise: int) -> int:
    try:
        return int(text or "")
    except ValueError:
        return otherwise
