"""A log that is written by hand, for the stories that are read from it."""

from __future__ import annotations

from typing import Any

from schemas.changing import replace
from schemas.events import (
    Author,
    BubbleState,
    Cause,
    Citation,
    Command,
    ControlRequested,
    ConversationChanged,
    DeliveryStatus,
    Event,
    HandoffRequested,
    HumanReplied,
    Media,
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
    ReplyOrigin,
    ResponseGenerated,
    ResponseOutcome,
    StatusReceived,
    TimerFired,
    ToolCallCompleted,
    ToolCallRequested,
    TurnKind,
)
from schemas.topics import TOPICS
from sinks.ports import Recorded

TOPIC_OF = {topic.record: topic.name for topic in TOPICS}
CONVERSATION = "conv_1"
SECRET_TEXT = "Onde está o meu pedido?"
DAY_MS = 86_400_000
SECRET_PHONE = "5511999990042"
MODEL = ModelCall(
    step=1, model="scripted", prompt_version="abc", prompt_tokens=10, completion_tokens=5,
    duration_ms=7, finish_reason="tool_calls", requested_at=1100, answered_at=1107,
)  # fmt: skip
PASSAGE = Citation(
    passage_id="faq-1", source="entregas.md", score=0.8125, sha256="0123456789abcdef" * 4
)


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


def echoed(wamid: str, at: int) -> HumanReplied:
    return HumanReplied(
        **envelope(HumanReplied, at), phone_number_id="111", reply_id=wamid, wamid=wamid,
        origin=ReplyOrigin.PHONE_APP, text=SECRET_TEXT,
    )  # fmt: skip


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


def called(number: int, answered_at: int) -> ModelCall:
    return replace(MODEL, step=number, requested_at=answered_at - 7, answered_at=answered_at)


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
            arguments='{"number": "SECRET-9"}', model_call=called(1, at + 60),
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
            calls=(called(2, at + 80),), citations=(PASSAGE,),
        )
    )  # fmt: skip
    sent(log, response, turn, at + 81)
    outcome = Outcome(wamid=wamid, kind=OutcomeKind.ANSWERED, reason="agent:support", turn_id=turn)
    log.add(step(at + 81, response, "answered", turn_id=turn, outcomes=(outcome,)))


def asked_for(log: Log, cause: Recorded, at: int, **more: Any) -> tuple[Recorded, dict[str, Any]]:
    """Write the request for a bubble; return it and what its other records share with it."""
    common: dict[str, Any] = {
        "turn_id": None, "epoch": 0, "author": Author.AI, "kind": OutboundKind.MESSAGE, **more,
    }  # fmt: skip
    asked = log.add(
        OutboundRequested(
            **envelope(OutboundRequested, at, cause), **common, phone_number_id="111",
            recipient=Person(wa_id=SECRET_PHONE), text="SECRET-11",
            window_expires_at=at + DAY_MS,
        )
    )  # fmt: skip
    return asked, common


def sent(log: Log, cause: Recorded, turn: str | None, at: int) -> None:
    asked, common = asked_for(log, cause, at, bubble_id=f"bubble-{turn}", turn_id=turn)
    log.add(
        OutboundUpdated(
            **envelope(OutboundUpdated, at + 1, asked), **common, state=BubbleState.ACCEPTED,
            attempt=1, wamid=f"wamid.out-{turn}", posted_at=at + 4,
        )
    )  # fmt: skip
    log.add(
        OutboundSettled(
            **envelope(OutboundSettled, at + 1, asked), **common, state=BubbleState.ACCEPTED
        )
    )
    status = log.add(
        StatusReceived(
            **envelope(StatusReceived, at + 20), phone_number_id="111",
            wamid=f"wamid.out-{turn}", status=DeliveryStatus.DELIVERED,
            bubble_id=f"bubble-{turn}", attempt=1, status_at=at, billable=True,
            pricing_category="service",
        )
    )  # fmt: skip
    log.add(
        OutboundUpdated(
            **envelope(OutboundUpdated, at + 21, status), **common, state=BubbleState.DELIVERED,
            attempt=1, wamid=f"wamid.out-{turn}", posted_at=at + 4,
        )
    )  # fmt: skip


def taken_over(log: Log, at: int) -> None:
    """Write a picture, a bubble whose fate was unknown, a takeover, and a reply a day later."""
    media = Media(media_id="1234", mime_type="image/png", filename="SECRET-12.png")
    arrived = log.add(replace(message("wamid.1", at), kind=MessageKind.IMAGE, media=media))
    asked, common = asked_for(log, arrived, at + 10, bubble_id="bubble-1")
    for number, state, why in ((1, BubbleState.UNKNOWN, "timeout"), (2, BubbleState.FAILED, "")):
        log.add(
            OutboundUpdated(
                **envelope(OutboundUpdated, at + 10 * number, asked), **common, state=state,
                attempt=number, reason=why, error_code=0 if why else 131047,
                posted_at=at + 10 * number + 5,
            )
        )  # fmt: skip
    log.add(
        OutboundSettled(
            **envelope(OutboundSettled, at + 20, asked), **common, state=BubbleState.FAILED,
            error_code=131047, reason="window_closed",
        )
    )  # fmt: skip
    control = log.add(
        ControlRequested(
            **envelope(ControlRequested, at + 100), command=Command.TAKEOVER, request_id="req-1",
            agent_user="ana",
        )
    )  # fmt: skip
    log.add(step(at + 101, control, "taken_over", takeover_pending=True, agent_user="ana"))
    marker: dict[str, Any] = {
        "kind": OutboundKind.MARKER, "bubble_id": "marker-1", "epoch": 1, "author": Author.HUMAN,
    }  # fmt: skip
    raised = log.add(
        OutboundRequested(
            **envelope(OutboundRequested, at + 101, control), **marker, phone_number_id="111",
            recipient=Person(wa_id=SECRET_PHONE), reason="takeover",
        )
    )  # fmt: skip
    log.add(
        OutboundSettled(
            **envelope(OutboundSettled, at + 102, raised), **marker, state=BubbleState.APPLIED
        )
    )
    reply = log.add(
        HumanReplied(
            **envelope(HumanReplied, at + DAY_MS), phone_number_id="111", reply_id="reply-1",
            origin=ReplyOrigin.CONSOLE, agent_user="ana", text="SECRET-13",
        )
    )  # fmt: skip
    asked_for(log, reply, at + DAY_MS + 1, bubble_id="bubble-2", author=Author.HUMAN, epoch=1)
