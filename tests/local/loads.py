"""A load that went well, as the checker sees it; tests break it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from schemas.changing import replace
from schemas.events import (
    Author,
    BubbleState,
    Cause,
    ConversationChanged,
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
    TimerFired,
    TurnKind,
)
from schemas.topics import TOPICS
from sinks.ports import Recorded
from streams.local.load.checker import check
from streams.local.load.history import Accepted, Sent, history

TOPIC_OF = {topic.record: topic.name for topic in TOPICS}
WRITERS = {topic.record: topic.writers for topic in TOPICS}
ANSWERED = frozenset({OutcomeKind.ANSWERED})


@dataclass
class World:
    """A load that went well: two customers, two turns each, one bubble a turn."""

    sent: list[Sent] = field(default_factory=list)
    records: list[Recorded] = field(default_factory=list)
    accepted: list[Accepted] = field(default_factory=list)
    decided: dict[tuple[str, str], list[Position]] = field(default_factory=dict)

    def add(self, event: Event) -> Recorded:
        offset = sum(r.position.topic == event.event for r in self.records)
        place = Position(topic=event.event, partition=0, offset=offset)
        self.records.append(Recorded(event=event, position=place))
        return self.records[-1]

    def envelope(
        self, record: type[Any], customer: str, at: int, cause: Recorded | None = None
    ) -> dict[str, Any]:
        number = len(self.records)
        source = cause.position if cause else None
        return {
            "event": "conversation.timer.fired" if record is TimerFired else TOPIC_OF[record],
            "event_id": f"event-{number}",
            "trace_id": "0" * 32,
            "tenant_id": "demo",
            "conversation_id": f"conv_{customer}",
            "customer_id": f"cust_{customer}",
            "idempotency_key": f"event-{number}",
            "occurred_at": at,
            "cause": source
            and Cause(
                topic=source.topic,
                partition=source.partition,
                offset=source.offset,
                seq=self.number(record, customer, source),
                decided_at=at,
            ),
        }

    def number(self, record: type[Any], customer: str, source: Position) -> int:
        """Return the number of the step that says a record: each stage counts its own."""
        (stage, *_) = WRITERS[record]
        decided = self.decided.setdefault((stage, customer), [])
        if source not in decided:
            decided.append(source)
        return decided.index(source) + 1

    def step(
        self,
        customer: str,
        at: int,
        cause: Recorded,
        *outcomes: Outcome,
        before: Phase = Phase.IDLE,
    ) -> None:
        self.add(
            ConversationChanged(
                **self.envelope(ConversationChanged, customer, at, cause),
                phase=Phase.IDLE, phase_before=before, epoch=0, turn_seq=1,
                decision="d", reason="r", outcomes=outcomes,
            )
        )  # fmt: skip

    def message(self, customer: str, sequence: int, at: int) -> str:
        wamid = f"wamid.{customer}-{sequence}"
        self.sent.append(Sent(customer, sequence, wamid, ANSWERED))
        record = self.add(
            MessageReceived(
                **self.envelope(MessageReceived, customer, at), phone_number_id="111",
                wamid=wamid, kind=MessageKind.TEXT, text="?", sender=Person(wa_id=customer),
                sent_at=at,
            )
        )  # fmt: skip
        self.step(customer, at + 2, record)
        return wamid

    def turn(self, customer: str, number: int, at: int, *wamids: str) -> None:
        turn_id, bubble_id = f"turn-{customer}-{number}", f"bubble-{customer}-{number}"
        timer = self.add(
            TimerFired(**self.envelope(TimerFired, customer, at), timer="burst", due_at=at)
        )
        handoff = self.add(
            HandoffRequested(
                **self.envelope(HandoffRequested, customer, at, timer), kind=TurnKind.START,
                turn_id=turn_id, turn_seq=number, epoch=0, to_agent="support", reason="r",
                wamids=wamids, deadline_at=at,
            )
        )  # fmt: skip
        self.step(customer, at, timer)
        call = ModelCall(
            step=1, model="m", prompt_version="v", prompt_tokens=1, completion_tokens=1,
            duration_ms=100, finish_reason="stop", requested_at=at + 5, answered_at=at + 105,
        )  # fmt: skip
        response = self.add(
            ResponseGenerated(
                **self.envelope(ResponseGenerated, customer, at, handoff), turn_id=turn_id,
                turn_seq=number, epoch=0, agent="support", outcome=ResponseOutcome.ANSWERED,
                calls=(call,),
            )
        )  # fmt: skip
        outcomes = [Outcome(wamid=w, kind=OutcomeKind.ANSWERED, reason="r", turn_id=turn_id)
                    for w in wamids]  # fmt: skip
        self.step(customer, at + 110, response, *outcomes, before=Phase.THINKING)
        self.bubble(customer, turn_id, bubble_id, at + 110, response)

    def bubble(self, customer: str, turn_id: str, bubble_id: str, at: int, cause: Recorded) -> None:
        common: dict[str, Any] = {
            "bubble_id": bubble_id, "turn_id": turn_id, "epoch": 0, "author": Author.AI,
            "kind": OutboundKind.MESSAGE,
        }  # fmt: skip
        asked = self.add(
            OutboundRequested(
                **self.envelope(OutboundRequested, customer, at, cause), **common,
                phone_number_id="111", recipient=Person(wa_id=customer), text="!",
            )
        )  # fmt: skip
        self.add(
            OutboundUpdated(
                **self.envelope(OutboundUpdated, customer, at, asked), **common,
                state=BubbleState.ACCEPTED, posted_at=at + 2,
            )
        )  # fmt: skip
        self.add(
            OutboundSettled(
                **self.envelope(OutboundSettled, customer, at, asked), **common,
                state=BubbleState.ACCEPTED,
            )
        )  # fmt: skip
        number = len(self.accepted) + 1
        self.accepted.append(Accepted(number, f"conv_{customer}", bubble_id, f"wamid.out-{number}"))

    def broken(self) -> set[str]:
        return {v.rule for v in check(history(self.sent, self.records, self.accepted))}

    def find(self, record: type[Any], place: int = 0) -> int:
        return [i for i, r in enumerate(self.records) if isinstance(r.event, record)][place]

    def change(self, record: type[Any], place: int = 0, **changes: Any) -> None:
        index = self.find(record, place)
        old = self.records[index]
        self.records[index] = replace(old, event=replace(old.event, **changes))

    def repeat(self, record: type[Any], place: int = 0, **changes: Any) -> None:
        """Add a second event of the same meaning, with an id of its own."""
        event = self.records[self.find(record, place)].event
        self.add(replace(event, event_id=f"again-{len(self.records)}", **changes))
