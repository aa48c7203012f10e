"""A conversation as its topics tell it; the same arguments give the same records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from schemas.events import (
    Author,
    BubbleState,
    Cause,
    ConversationChanged,
    Event,
    HumanReplied,
    MessageKind,
    MessageReceived,
    OutboundKind,
    OutboundUpdated,
    Outcome,
    OutcomeKind,
    Person,
    Phase,
    Position,
    ReplyOrigin,
)
from schemas.ids import derived, trace
from sinks.ports import Recorded

NUMBER = "1055550001"
START_MS = 1_790_000_000_000


@dataclass
class Story:
    """Builds the records of one conversation."""

    tenant_id: str = "acme"
    name: str = "maria"
    seq: int = 0
    offsets: dict[str, int] = field(default_factory=dict)

    @property
    def conversation_id(self) -> str:
        return f"conv_{self.tenant_id}_{self.name}"

    def envelope(self, event: str, natural: str, at: int, cause: Cause | None = None) -> Any:
        return {
            "event": event,
            "event_id": derived(event, self.tenant_id, self.name, natural),
            "trace_id": trace(self.tenant_id, self.name, natural.split("/", maxsplit=1)[0]),
            "tenant_id": self.tenant_id,
            "conversation_id": self.conversation_id,
            "customer_id": f"cust_{self.tenant_id}_{self.name}",
            "idempotency_key": natural,
            "occurred_at": START_MS + at,
            "cause": cause,
        }

    def recorded(self, event: Event) -> Recorded:
        offset = self.offsets.get(event.event, 0)
        self.offsets[event.event] = offset + 1
        return Recorded(
            event=event, position=Position(topic=event.event, partition=0, offset=offset)
        )

    def said(self, wamid: str, text: str, at: int, **fields: Any) -> Recorded:
        given: dict[str, Any] = {
            "kind": MessageKind.TEXT,
            "sender": Person(wa_id="5511999990001", name="Maria"),
        }
        return self.recorded(
            MessageReceived(
                **self.envelope("inbox.message.received", wamid, at),
                phone_number_id=NUMBER,
                wamid=wamid,
                text=text,
                sent_at=START_MS + at,
                **(given | fields),
            )
        )

    def replied(self, reply_id: str, text: str, at: int, **fields: Any) -> Recorded:
        given: dict[str, Any] = {"origin": ReplyOrigin.CONSOLE, "agent_user": "7"}
        return self.recorded(
            HumanReplied(
                **self.envelope("inbox.human.replied", reply_id, at),
                phone_number_id=NUMBER,
                reply_id=reply_id,
                text=text,
                **(given | fields),
            )
        )

    def bubble(self, bubble_id: str, state: BubbleState, at: int, **fields: Any) -> Recorded:
        given: dict[str, Any] = {
            "author": Author.AI,
            "kind": OutboundKind.MESSAGE,
            "attempt": 1,
            "epoch": 0,
        }
        natural = f"{fields.pop('trace', bubble_id)}/{bubble_id}/{state}"
        return self.recorded(
            OutboundUpdated(
                **self.envelope("outbound.message.updated", natural, at),
                phone_number_id=NUMBER,
                bubble_id=bubble_id,
                state=state,
                requested_at=START_MS + fields.pop("requested", at),
                **(given | fields),
            )
        )

    def step(self, phase: Phase, at: int, **fields: Any) -> Recorded:
        self.seq += 1
        cause = Cause(
            topic="inbox.message.received",
            partition=0,
            offset=self.seq,
            seq=self.seq,
            decided_at=START_MS + at,
        )
        given: dict[str, Any] = {"decision": "decided", "reason": "test", "epoch": 0, "turn_seq": 0}
        return self.recorded(
            ConversationChanged(
                **self.envelope("conversation.state.changed", f"step{self.seq}", at, cause),
                phase=phase,
                phase_before=Phase.IDLE,
                phone_number_id=NUMBER,
                **(given | fields),
            )
        )

    def whole(self) -> list[Recorded]:
        """A burst, an answer, a person who takes over, an edit, a close."""
        turn = derived("turn", self.name)
        answered = tuple(
            Outcome(wamid=w, kind=OutcomeKind.ANSWERED, reason="turn", turn_id=turn)
            for w in ("m1", "m2")
        )
        handed = (Outcome(wamid="m3", kind=OutcomeKind.HANDED, reason="with_human"),)
        return [
            self.said("m1", "oi", 0),
            self.step(Phase.GATHERING, 5, unread=1),
            self.said("m2", "tem tênis 38?", 300),
            self.step(Phase.GATHERING, 305, unread=2),
            self.step(Phase.THINKING, 1900, turn_id=turn, turn_seq=1, owner="sales", unread=2),
            self.step(Phase.IDLE, 2600, turn_id=turn, turn_seq=1, outcomes=answered, owner="sales"),
            self.bubble("b1", BubbleState.PLANNED, 2610, text="Temos!", attempt=0, turn_id=turn),
            self.bubble("b1", BubbleState.ACCEPTED, 2700, wamid="w1", requested=2610, turn_id=turn),
            self.bubble("b1", BubbleState.READ, 2900, wamid="w1", requested=2610, turn_id=turn),
            self.said("m3", "quero falar com gente", 4000, reply_to_wamid="w1"),
            self.step(Phase.WITH_HUMAN, 4005, outcomes=handed, owner="human", unread=1),
            self.step(Phase.WITH_HUMAN, 5000, owner="human", agent_user="7", epoch=1, unread=1),
            self.replied("r1", "Oi, aqui é o Zé", 6000),
            self.bubble(
                "b2",
                BubbleState.PLANNED,
                6010,
                text="Oi, aqui é o Zé",
                author=Author.HUMAN,
                attempt=0,
                trace="r1",
            ),
            self.bubble(
                "b2",
                BubbleState.FAILED,
                6050,
                author=Author.HUMAN,
                requested=6010,
                error_code=131047,
                reason="window_closed",
                trace="r1",
            ),
            self.said("m4", "quero 39", 7000, kind=MessageKind.EDIT, target_wamid="m2"),
            self.step(Phase.CLOSED, 9000, owner=None, agent_user=None, epoch=2),
        ]
