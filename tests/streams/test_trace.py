from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from schemas.events import (
    Author,
    BubbleState,
    Cause,
    Citation,
    ConversationChanged,
    DeliveryStatus,
    Event,
    HandoffRequested,
    MessageKind,
    MessageReceived,
    ModelCall,
    OutboundKind,
    OutboundRequested,
    OutboundSettled,
    OutboundUpdated,
    Outcome,
    OutcomeKind,
    Person,
    Phase,
    Position,
    ResponseGenerated,
    ResponseOutcome,
    StatusReceived,
    TimerFired,
    ToolCallCompleted,
    ToolCallRequested,
    TurnKind,
)
from schemas.examples import examples
from schemas.topics import TOPICS
from sinks.ports import Recorded
from streams.telling import tell
from streams.trace import lines, plain, story, where

TOPIC_OF = {topic.record: topic.name for topic in TOPICS}
CONVERSATION = "conv_1"
SECRET_TEXT = "Onde está o meu pedido?"
SECRET_PHONE = "5511999990042"
MODEL = ModelCall(
    step=1, model="scripted", prompt_version="abc", prompt_tokens=10, completion_tokens=5,
    duration_ms=7, finish_reason="tool_calls", requested_at=1100, answered_at=1107,
)  # fmt: skip
PASSAGE = Citation(passage_id="faq-1", source="entregas.md", score=0.8125, sha256="00")


class Log:
    """A log being written: gives each event its offset."""

    def __init__(self) -> None:
        self.records: list[Recorded] = []

    def add(self, event: Event) -> Recorded:
        position = Position(topic=event.event, partition=3, offset=len(self.records))
        self.records.append(Recorded(event=event, position=position))
        return self.records[-1]


def envelope(
    record: type[Any], at: int, cause: Recorded | None = None, conversation: str = CONVERSATION
) -> dict[str, Any]:
    return {
        "event": "conversation.timer.fired" if record is TimerFired else TOPIC_OF[record],
        "event_id": f"{record.__name__}-{at}",
        "trace_id": "0" * 32,
        "tenant_id": "demo",
        "conversation_id": conversation,
        "customer_id": "cust_1",
        "idempotency_key": f"{record.__name__}-{at}",
        "occurred_at": at,
        "cause": None if cause is None else caused(cause, at),
    }


def caused(cause: Recorded, at: int) -> Cause:
    place = cause.position
    return Cause(
        topic=place.topic, partition=place.partition, offset=place.offset, seq=1, decided_at=at
    )


def message(wamid: str, at: int, conversation: str = CONVERSATION) -> MessageReceived:
    return MessageReceived(
        **envelope(MessageReceived, at, conversation=conversation),
        phone_number_id="111",
        wamid=wamid,
        kind=MessageKind.TEXT,
        text=SECRET_TEXT,
        sender=Person(wa_id=SECRET_PHONE),
        sent_at=at,
    )


def step(at: int, cause: Recorded, decision: str, **more: Any) -> ConversationChanged:
    return ConversationChanged(
        **envelope(ConversationChanged, at, cause),
        phase=Phase.THINKING,
        phase_before=Phase.IDLE,
        epoch=0,
        turn_seq=1,
        decision=decision,
        reason=f"because-{decision}",
        **more,
    )


def handoff(at: int, cause: Recorded, turn: str, *wamids: str) -> HandoffRequested:
    return HandoffRequested(
        **envelope(HandoffRequested, at, cause),
        kind=TurnKind.START,
        turn_id=turn,
        turn_seq=1,
        epoch=0,
        to_agent="support",
        reason="intent:order",
        wamids=wamids,
        question=SECRET_TEXT,
        deadline_at=at + 1000,
    )


def answered_by_tool(log: Log, wamid: str, turn: str, at: int) -> None:
    """Write everything that one message causes, from its arrival to its delivery."""
    arrived = log.add(message(wamid, at))
    log.add(step(at + 1, arrived, "gathering"))
    timer = log.add(TimerFired(**envelope(TimerFired, at + 50), timer="burst", due_at=at + 50))
    turned = log.add(handoff(at + 51, timer, turn, wamid))
    log.add(step(at + 51, timer, "turn_started", turn_id=turn))
    asked = log.add(
        ToolCallRequested(
            **envelope(ToolCallRequested, at + 60, turned), turn_id=turn, turn_seq=1, epoch=0,
            call_id="call-1", model_call_id="m1", step=1, agent="support", tool="order_status",
            arguments='{"number": "SECRET-9"}', model_call=replace(MODEL, answered_at=at + 60),
            citations=(PASSAGE,), deadline_at=at + 1000,
        )
    )  # fmt: skip
    done = log.add(
        ToolCallCompleted(
            **envelope(ToolCallCompleted, at + 70, asked), turn_id=turn, epoch=0,
            call_id="call-1", step=1, tool="order_status", ok=True, content="SECRET-10",
        )
    )  # fmt: skip
    response = log.add(
        ResponseGenerated(
            **envelope(ResponseGenerated, at + 80, done), turn_id=turn, turn_seq=1, epoch=0,
            agent="support", outcome=ResponseOutcome.ANSWERED, bubbles=("SECRET-11",),
            calls=(replace(MODEL, step=2, answered_at=at + 80),), citations=(PASSAGE,),
        )
    )  # fmt: skip
    sent(log, response, turn, at + 81)
    outcome = Outcome(wamid=wamid, kind=OutcomeKind.ANSWERED, reason="agent:support", turn_id=turn)
    log.add(step(at + 81, response, "answered", turn_id=turn, outcomes=(outcome,)))


def sent(log: Log, cause: Recorded, turn: str | None, at: int) -> None:
    common: dict[str, Any] = {
        "bubble_id": f"bubble-{turn}", "turn_id": turn, "epoch": 0, "author": Author.AI,
        "kind": OutboundKind.MESSAGE,
    }  # fmt: skip
    asked = log.add(
        OutboundRequested(
            **envelope(OutboundRequested, at, cause), **common, phone_number_id="111",
            recipient=Person(wa_id=SECRET_PHONE), text="SECRET-11",
        )
    )  # fmt: skip
    log.add(
        OutboundUpdated(
            **envelope(OutboundUpdated, at + 5, asked), **common, state=BubbleState.ACCEPTED,
            wamid=f"wamid.out-{turn}", posted_at=at + 4,
        )
    )  # fmt: skip
    log.add(
        OutboundSettled(
            **envelope(OutboundSettled, at + 5, asked), **common, state=BubbleState.ACCEPTED
        )
    )
    log.add(
        StatusReceived(
            **envelope(StatusReceived, at + 20), phone_number_id="111",
            wamid=f"wamid.out-{turn}", status=DeliveryStatus.DELIVERED,
            bubble_id=f"bubble-{turn}", status_at=at,
        )
    )  # fmt: skip


@pytest.fixture
def log() -> Log:
    log = Log()
    answered_by_tool(log, "wamid.1", "turn-1", 1000)
    answered_by_tool(log, "wamid.2", "turn-2", 2000)
    log.add(message("wamid.3", 1500, conversation="conv_2"))
    return log


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
        "message settled: accepted",
        "WhatsApp says: delivered",
    ]


def test_each_line_names_the_line_that_it_follows_from(log: Log) -> None:
    told = story(log.records, CONVERSATION, "wamid.1")

    assert [entry.because for entry in told.entries] == [
        None, 1, None, 3, 3, 4, 6, 7, 8, 8, 9, 9, None,
    ]  # fmt: skip


def test_other_messages_and_conversations_are_left_out(log: Log) -> None:
    told = story(log.records, CONVERSATION, "wamid.2")

    assert min(entry.at_ms for entry in told.entries) == 2000
    assert [outcome.wamid for outcome in told.outcomes] == ["wamid.2"]


def test_the_story_of_a_conversation_holds_all_of_it(log: Log) -> None:
    told = story(log.records, CONVERSATION)

    assert len(told.entries) == 26
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

    assert len(told.entries) == 6
    assert told.outcomes == (outcome,)


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


def test_nothing_private_is_shown_unless_asked(log: Log) -> None:
    told = story(log.records, CONVERSATION)
    masked = "\n".join(lines(told)) + str(plain(told))
    whole = "\n".join(lines(told, show_text=True))

    for private in (SECRET_TEXT, SECRET_PHONE, "SECRET-9", "SECRET-10", "SECRET-11"):
        assert private not in masked
        assert private in whole


def test_a_line_says_where_the_record_is_and_what_the_model_saw(log: Log) -> None:
    text = "\n".join(lines(story(log.records, CONVERSATION, "wamid.1")))

    assert "inbox.message.received[3]@0" in text
    assert "passage: faq-1 from entregas.md, score 0.812" in text
    assert "model: scripted, prompt abc, step 2" in text
    assert "outcome of wamid.1: answered (agent:support, turn turn-1)" in text


def test_a_message_without_an_outcome_says_so() -> None:
    log = Log()
    log.add(message("wamid.1", 1000))

    assert list(lines(story(log.records, CONVERSATION, "wamid.1")))[-1] == (
        "outcome of wamid.1: none yet"
    )


def test_plain_data_names_every_position(log: Log) -> None:
    entry = plain(story(log.records, CONVERSATION, "wamid.1"))["entries"][1]

    assert (entry["topic"], entry["partition"], entry["offset"], entry["because"]) == (
        "conversation.state.changed", 3, 1, 1,
    )  # fmt: skip
    assert where(Position(topic="t", partition=1, offset=2)) == "t[1]@2"


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.name)
def test_every_record_can_be_told(example: Any) -> None:
    assert tell(example.event).what
