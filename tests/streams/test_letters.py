from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from schemas.events import Event, Position
from streams.cli.dlqtext import ending, page, plan
from streams.deadletters.dlq import LARGEST, Original, Place, Verdict, dead_letter
from streams.deadletters.letters import (
    Letter,
    Selection,
    Standing,
    first_run,
    lost,
    newest,
    waiting,
)
from streams.deadletters.redriving import INPUTS, End, Result
from streams.kafka.publish import MAX_RECORD_BYTES, Headers
from streams.state.parking import Parking, Returned

KEY = b"conv_1"
FLAG = Parking("in.box/3/9", "bug", 1_700_000_000_000, last=4, next=2)
TRACE = (("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),)


@dataclass(frozen=True)
class Read:
    """A record as a client returns it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def letter(
    number: int,
    topic: str = "in.box",
    offset: int = 0,
    parking: str = FLAG.parking_id,
    *,
    place: int = 0,
    epoch: int = 0,
) -> Letter:
    original = Original(
        topic=topic,
        partition=3,
        offset=place or 100 + number,
        timestamp_ms=1_699_999_999_000,
        key=KEY,
        value=b"bytes",
        headers=TRACE,
    )
    verdict = Verdict(
        reason="bug" if number == 1 else "behind_parked",
        group="whaticket.pipeline",
        stage="dispatch",
        first_failed_at_ms=1_700_000_000_000 + number,
        detail="ValueError at x.py:1",
        attempts=5,
    )
    record = dead_letter(original, verdict, Place(parking, number, epoch) if number else None)
    return Letter.of(Read(record.topic, 3, offset, record.key, record.value, record.headers))


def test_a_letter_says_all_that_was_written_of_it() -> None:
    found = letter(1, offset=7)

    assert found.position == Position(topic="in.box.dlq", partition=3, offset=7)
    assert found.original == Position(topic="in.box", partition=3, offset=101)
    assert (found.stage, found.reason, found.attempts) == ("dispatch", "bug", 5)
    assert (found.parking_id, found.number) == (FLAG.parking_id, 1)
    assert found.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert found.conversation == "conv_1"


def test_a_letter_goes_back_with_its_own_key_bytes_and_headers() -> None:
    found = letter(2)

    back = found.back()

    assert (back.topic, back.key, back.value) == ("in.box", KEY, b"bytes")
    assert back.headers == found.headers
    assert back.headers[:1] == TRACE
    assert Returned.of(back.headers) == Returned(FLAG.parking_id, 2)
    assert Returned.of(found.back(dropped=True).headers) == Returned(FLAG.parking_id, 2, True)


def test_a_letter_stands_as_the_flag_of_its_conversation_says() -> None:
    flags = {("dispatch", KEY): FLAG}

    assert letter(1).standing(flags) is Standing.DONE
    assert letter(2).standing(flags) is Standing.WAITING
    assert letter(2).standing({}) is Standing.DONE
    assert letter(2, parking="in.box/3/1").standing(flags) is Standing.DONE
    assert letter(0).standing(flags) is Standing.ALONE


def test_a_selection_finds_what_waits_behind_by_the_reason_of_the_parking() -> None:
    flags = {("dispatch", KEY): FLAG}

    assert Selection(reason="bug").means(letter(3), flags)
    assert Selection(stage="dispatch", topic="in.box", conversation="conv_1").means(letter(3), {})
    assert not Selection(reason="bug").means(letter(3), {})
    assert not Selection(stage="ai").means(letter(3), flags)


def test_a_letter_that_a_crash_wrote_twice_counts_once() -> None:
    assert newest([letter(2, offset=5), letter(3, offset=6), letter(2, offset=7)]) == [
        letter(2, offset=7),
        letter(3, offset=6),
    ]


LARGE = b"x" * (MAX_RECORD_BYTES + 1)
"""Other clients may compress: Kafka's limit is that of the compressed batch."""


@pytest.mark.parametrize(
    ("key", "value", "headers", "kept"),
    [
        (KEY, LARGE, TRACE, (KEY, b"", True)),
        (KEY, b"x" * LARGEST, TRACE, (KEY, b"", True)),
        (KEY, b"bytes", (*TRACE, ("large", LARGE)), (KEY, b"", False)),
        (LARGE, b"bytes", TRACE, (None, b"", False)),
        (LARGE, None, TRACE, (None, None, False)),
    ],
)
def test_of_a_record_that_is_too_large_for_a_letter_its_place_is_kept(
    key: bytes | None,
    value: bytes | None,
    headers: Headers,
    kept: tuple[bytes | None, bytes | None, bool],
) -> None:
    original = Original(
        topic="in.box",
        partition=3,
        offset=9,
        timestamp_ms=1_699_999_999_000,
        key=key,
        value=value,
        headers=headers,
    )
    verdict = Verdict(reason="bad_value", group="g", stage="dispatch", first_failed_at_ms=1)

    record = dead_letter(original, verdict, Place(FLAG.parking_id, 2))
    read = Letter.of(Read(record.topic, 3, 1, record.key, record.value, record.headers))

    assert (record.key, record.value, bool(read.trace_id)) == kept
    assert read.original == Position(topic="in.box", partition=3, offset=9)
    assert read.detail.endswith("bytes are too many for a letter: the record is where it was read")
    assert (read.reason, read.number, read.whole) == ("bad_value", 2, False)


def shortened(number: int) -> Letter:
    """A letter that has no room for its record."""
    original = Original(
        topic="in.box",
        partition=3,
        offset=100 + number,
        timestamp_ms=1_699_999_999_000,
        key=KEY,
        value=LARGE,
    )
    verdict = Verdict(reason="bug", group="g", stage="dispatch", first_failed_at_ms=1)
    record = dead_letter(original, verdict, Place(FLAG.parking_id, number) if number else None)
    return Letter.of(Read(record.topic, 3, number, record.key, record.value, record.headers))


def test_nothing_is_written_back_of_a_letter_that_has_not_its_record() -> None:
    """It would be an empty record, which is another one than the one that was set aside."""
    queue = waiting([letter(2), shortened(3), letter(4)], FLAG)

    assert [each.number for each in first_run(queue, FLAG)] == [2]
    assert letter(2).whole


async def test_what_a_letter_has_no_room_for_is_shown_with_the_place_where_it_is() -> None:
    codec: Any = Unasked()

    lines = await page(shortened(2), {("dispatch", KEY): FLAG}, codec, show_text=False)

    value = next(line for line in lines if line.split()[0] == "value")
    assert f"{len(LARGE) + len(KEY)} bytes, not in the letter" in value
    assert "in.box[3]@102" in value
    assert not [line for line in lines if "it says" in line]


class Unasked:
    """A codec that nobody needs."""

    async def read(self, _: bytes | None) -> Event:
        raise AssertionError


def failed_again(alone: Letter, offset: int, place: Place | None = None) -> Letter:
    """A letter that parked nothing, written back and given up, or set aside, at another place."""
    back = alone.back()
    original = Original(
        topic=back.topic,
        partition=3,
        offset=70 + offset,
        timestamp_ms=1_700_000_500_000,
        key=back.key,
        value=back.value,
        headers=back.headers,
    )
    verdict = Verdict(reason="bug", group="g", stage="dispatch", first_failed_at_ms=1_800_000)
    record = dead_letter(original, verdict, place)
    return Letter.of(Read(record.topic, 3, offset, record.key, record.value, record.headers))


def test_a_letter_that_came_back_alone_and_failed_again_counts_once() -> None:
    """Else there were twice as many each time that all of them are written back."""
    first = letter(0, offset=5, place=9)
    second = failed_again(first, 6)

    assert newest([first, second]) == [second]
    assert second.original == first.original
    assert second.original_ms == first.original_ms
    assert second.first_failed_ms == first.first_failed_ms
    assert second.standing({}) is Standing.ALONE


def test_a_record_that_came_back_twice_behind_a_parked_one_has_a_letter_for_each_number() -> None:
    """A number without a letter would hold back all that is behind it."""
    alone = letter(0, offset=5, place=9)
    found = [failed_again(alone, number, Place(FLAG.parking_id, number)) for number in (2, 3)]

    assert list(waiting(newest(found), FLAG)) == [2, 3]


def test_a_number_that_a_former_owner_gave_to_another_record_is_not_believed() -> None:
    known = letter(1, place=101, epoch=3)
    zombie = letter(2, "b", offset=9, place=55, epoch=3)
    taken = letter(2, place=102, epoch=4)
    moved = letter(3, "b", offset=8, place=55, epoch=4)

    for letters in ([known, zombie, taken, moved], [moved, taken, zombie, known]):
        assert sorted(newest(letters), key=lambda each: each.number) == [known, taken, moved]


def test_what_waits_goes_back_in_order_up_to_the_next_topic() -> None:
    letters = [letter(4, "b"), letter(2, "a"), letter(1, "a"), letter(3, "a")]
    queue = waiting([*letters, letter(3, "a", parking="in.box/3/1")], FLAG)

    assert list(queue) == [2, 3, 4]
    assert [each.number for each in first_run(queue, FLAG)] == [2, 3]


def test_nothing_is_written_past_a_number_whose_letter_is_gone() -> None:
    queue = waiting([letter(3), letter(4)], FLAG)

    assert first_run(queue, FLAG) == ()


def test_a_lost_number_is_dropped_on_a_topic_that_no_sink_reads() -> None:
    record = lost("dispatch", KEY, INPUTS["dispatch"][0], FLAG)

    assert Returned.of(record.headers) == Returned(FLAG.parking_id, 2, True)
    assert INPUTS["dispatch"][0] not in ("inbox.message.received", "inbox.human.replied")


def test_a_plan_names_every_number_and_what_becomes_of_it() -> None:
    lines = list(plan("conv_1", "dispatch", FLAG, [letter(2), letter(4)], {2}))

    assert [line.split()[:2] for line in lines[1:]] == [["2", "drop"], ["3", "back"], ["4", "back"]]
    assert "gone" in lines[2]


def test_a_plan_says_which_number_cannot_come_back_and_where_its_record_is() -> None:
    letters = [letter(2), shortened(3), letter(4)]
    back = list(plan("conv_1", "dispatch", FLAG, letters))
    dropped = list(plan("conv_1", "dispatch", FLAG, letters, {3}))

    assert [line.split()[:2] for line in back[1:]] == [["2", "back"], ["3", "left"], ["4", "back"]]
    assert "in.box[3]@103, too large for its letter" in back[2]
    assert dropped[2].split()[:2] == ["3", "drop"]


def test_an_ending_says_what_holds_the_rest_back() -> None:
    assert "goes on" in ending(Result(End.RESUMED, 3, None))
    assert "number 2 failed again (bug)" in ending(Result(End.FAILED, 3, FLAG))
    too_large = ending(Result(End.TOO_LARGE, 3, FLAG))
    assert "number 2 is not in its letter" in too_large
    assert "only `dlq drop` helps" in too_large
