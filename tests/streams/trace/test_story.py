from __future__ import annotations

import time
from typing import Any

import pytest

from schemas.changing import replace
from schemas.events import HumanReplied, Outcome, OutcomeKind
from schemas.examples import examples
from streams.story import trace
from streams.story.printing import lines
from streams.story.telling import Told, tell
from streams.story.trace import story
from tests.streams.trace.logbook import (
    CONVERSATION,
    DAY_MS,
    Log,
    echoed,
    handoff,
    message,
    sent,
    step,
    taken_over,
)


def test_the_story_of_a_message_goes_from_its_arrival_to_its_delivery(log: Log) -> None:
    told = story(log.records, CONVERSATION, "wamid.1")

    assert [entry.what for entry in told.entries] == [
        "the customer sent text",
        "decided: gathering",
        "timer burst fired",
        "turn 1 given to support",
        "decided: turn_started",
        "support asks for the tool order_status",
        "the tool order_status answered",
        "support answered",
        "bubble 1 of 1 of ai to be sent",
        "decided: answered",
        "bubble accepted",
        "bubble settled: accepted",
        "WhatsApp says: delivered",
        "bubble delivered",
    ]


def test_each_line_names_the_line_that_it_follows_from(log: Log) -> None:
    told = story(log.records, CONVERSATION, "wamid.1")

    assert [entry.because for entry in told.entries] == [
        None, 1, None, 3, 3, 4, 6, 7, 8, 8, 9, 9, None, 13,
    ]  # fmt: skip


def test_other_messages_and_conversations_are_left_out(log: Log) -> None:
    told = story(log.records, CONVERSATION, "wamid.2")

    assert min(entry.at_ms for entry in told.entries) == 2000
    assert [outcome.wamid for outcome in told.outcomes] == ["wamid.2"]


def test_the_story_of_a_conversation_holds_all_of_it(log: Log) -> None:
    told = story(log.records, CONVERSATION)

    assert len(told.entries) == 28
    assert [outcome.wamid for outcome in told.outcomes] == ["wamid.1", "wamid.2"]


def test_the_order_of_reading_does_not_matter(log: Log) -> None:
    assert story(reversed(log.records), CONVERSATION, "wamid.1") == story(
        log.records, CONVERSATION, "wamid.1"
    )


def test_a_cause_comes_first_even_when_clocks_differ() -> None:
    log = Log()
    arrived = log.add(message("wamid.1", 5000))
    log.add(step(4000, arrived, "gathering"))

    told = story(log.records, CONVERSATION, "wamid.1")

    assert [entry.because for entry in told.entries] == [None, 1]


def test_a_notice_that_follows_from_the_message_is_part_of_its_story() -> None:
    log = Log()
    arrived = log.add(message("wamid.1", 1000))
    sent(log, arrived, None, 1001)
    outcome = Outcome(wamid="wamid.1", kind=OutcomeKind.HANDED, reason="rule:wants_person")
    log.add(step(1001, arrived, "handed", outcomes=(outcome,)))

    told = story(log.records, CONVERSATION, "wamid.1")

    assert len(told.entries) == 7
    assert told.outcomes == (outcome,)


def test_a_message_of_ours_leads_to_the_story_of_what_it_answers(log: Log) -> None:
    told = story(log.records, CONVERSATION, "wamid.out-turn-2")

    assert told.entries == story(log.records, CONVERSATION, "wamid.2").entries
    assert [outcome.wamid for outcome in told.outcomes] == ["wamid.2"]


def test_a_notice_of_ours_leads_to_the_message_that_caused_it() -> None:
    log = Log()
    log.add(message("wamid.0", 900))
    arrived = log.add(message("wamid.1", 1000))
    sent(log, arrived, None, 1001)

    told = story(log.records, CONVERSATION, "wamid.out-None")

    assert told.entries[0].at_ms == 1000
    assert told.entries == story(log.records, CONVERSATION, "wamid.1").entries


def test_a_persons_message_leads_to_what_was_typed() -> None:
    log = Log()
    taken_over(log, 1000)
    reply = next(r for r in log.records if isinstance(r.event, HumanReplied))
    sent(log, reply, None, 1000 + 2 * DAY_MS)

    told = story(log.records, CONVERSATION, "wamid.out-None")

    assert told.entries[0].what == "a person replied (console)"
    assert [bubble.wamid for bubble in told.bubbles] == ["wamid.out-None"]
    assert told.outcomes == ()


def test_a_message_from_the_phone_app_leads_to_what_was_decided_of_it(log: Log) -> None:
    log.add(echoed("wamid.other", 8000))
    echo = log.add(echoed("wamid.echo", 9000))
    log.add(step(9001, echo, "human_replied"))

    told = story(log.records, CONVERSATION, "wamid.echo")

    assert [entry.what for entry in told.entries] == [
        "a person replied (phone_app)",
        "decided: human_replied",
    ]
    assert not [line for line in lines(told) if line.startswith("outcome")]


def test_what_a_crash_made_a_stage_say_again_is_told_once(log: Log) -> None:
    """The records are on the topics twice, with one id; one bubble was sent."""
    once = story(log.records, CONVERSATION, "wamid.1")
    for said in [each for each in log.records if each.event.cause is not None]:
        log.add(said.event)

    told = story(log.records, CONVERSATION, "wamid.1")

    assert (told.bubbles, told.outcomes) == (once.bubbles, once.outcomes)
    again = [entry.what for entry in told.entries if entry.what.startswith("again: ")]
    assert len(again) == len(told.entries) - len(once.entries) > 0
    assert "again: bubble 1 of 1 of ai to be sent" in again


def test_a_bubble_settles_no_earlier_than_it_was_posted(log: Log) -> None:
    told = story(log.records, CONVERSATION, "wamid.1")

    assert [(e.what, e.at_ms) for e in told.entries if "accepted" in e.what] == [
        ("bubble accepted", 1085),
        ("bubble settled: accepted", 1085),
    ]


def test_a_message_that_superseded_another_leads_to_its_story() -> None:
    log = Log()
    first = log.add(message("wamid.1", 1000))
    log.add(handoff(1001, first, "turn-1", "wamid.1"))
    newer = log.add(message("wamid.2", 1010))
    log.add(step(1010, newer, "superseded", turn_id="turn-1"))

    told = story(log.records, CONVERSATION, "wamid.1")

    assert [entry.what for entry in told.entries] == [
        "the customer sent text",
        "turn 1 given to support",
        "the customer sent text",
        "decided: superseded",
    ]


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.name)
def test_every_record_can_be_told(example: Any) -> None:
    assert tell(example.event).what


def test_the_work_for_a_long_conversation_grows_with_its_length_alone(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace, "_told", lambda _: (Told("", ()), None))
    first = log.records[0]

    def seconds(count: int) -> float:
        records = [
            replace(first, position=replace(first.position, offset=offset))
            for offset in range(count)
        ]
        moments = {record.position: record.position.offset for record in records}
        began = time.process_time()
        assert list(trace._causes_first(records, moments)) == records
        return time.process_time() - began

    assert seconds(80_000) < 20 * seconds(8_000)  # the square of it takes fifty times as long
