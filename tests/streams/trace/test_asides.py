from __future__ import annotations

from schemas.changing import replace
from schemas.events import Event, Outcome, OutcomeKind, Position
from sinks.ports import Recorded
from streams.deadletters.dlq import Original, Place, Verdict, dead_letter
from streams.story.trace import Story, story
from tests.streams.trace.logbook import CONVERSATION, Log, message, step

PARKED = Outcome(wamid="wamid.1", kind=OutcomeKind.PARKED, reason="given_up:bug")
HANDED = Outcome(wamid="wamid.1", kind=OutcomeKind.HANDED, reason="with_human")


def set_aside(arrived: Recorded, at: int) -> Recorded:
    place = arrived.position
    original = Original(
        topic=place.topic,
        partition=place.partition,
        offset=place.offset,
        timestamp_ms=at,
        key=CONVERSATION.encode(),
        value=b"",
    )
    verdict = Verdict(reason="bug", group="g", stage="dispatch", first_failed_at_ms=at, attempts=5)
    letter = dead_letter(original, verdict, Place("parking", 1))
    position = replace(place, topic=letter.topic, offset=700)
    return Recorded(event=arrived.event, position=position, headers=letter.headers, written_ms=at)


def returned(letter: Recorded, at: int, offset: int) -> Recorded:
    position = Position(topic=letter.event.event, partition=3, offset=offset)
    return replace(letter, position=position, written_ms=at)


def told(log: Log, letter: Recorded, back: Recorded, *more: Event) -> Story:
    records = [*log.records, letter, back, *map(log.add, more)]
    return story(records, CONVERSATION, "wamid.1")


def test_a_story_tells_when_a_message_was_set_aside_and_when_it_came_back() -> None:
    log = Log()
    arrived = log.add(message("wamid.1", 1000))
    log.add(step(1010, arrived, "handed_over", outcomes=(PARKED,)))
    letter = set_aside(arrived, 1010)
    back = returned(letter, 9000, 800)

    found = told(log, letter, back, step(9010, back, "handed", outcomes=(HANDED,)))

    assert [(entry.what, entry.because) for entry in found.entries] == [
        ("the customer sent text", None),
        ("decided: handed_over", 1),
        ("set aside by dispatch as number 1: the customer sent text", 1),
        ("came back as number 1: the customer sent text", None),
        ("decided: handed", 4),
    ]
    details = {detail.name: detail.value for detail in found.entries[2].details}
    assert (details["reason"], details["attempts"]) == ("bug", "5")


def test_a_message_that_came_back_has_one_outcome() -> None:
    log = Log()
    arrived = log.add(message("wamid.1", 1000))
    log.add(step(1010, arrived, "handed_over", outcomes=(PARKED,)))
    letter = set_aside(arrived, 1010)
    back = returned(letter, 9000, 800)

    waiting = story([*log.records, letter], CONVERSATION, "wamid.1")
    found = told(log, letter, back, step(9010, back, "handed", outcomes=(HANDED,)))

    assert waiting.outcomes == (PARKED,)
    assert found.outcomes == (HANDED,)
