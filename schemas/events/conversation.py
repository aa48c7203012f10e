"""What dispatch decides about a conversation."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from schemas.events.envelope import Envelope, Millis


class Phase(StrEnum):
    """Where a conversation stands; the transitions are a table in ``agents.core.conversation``."""

    UNKNOWN = "unknown"
    IDLE = "idle"
    GATHERING = "gathering"
    THINKING = "thinking"
    WITH_HUMAN = "with_human"
    PAUSED = "paused"
    PARKED = "parked"
    CLOSED = "closed"


class OutcomeKind(StrEnum):
    """How an inbound message ended (promise I3: exactly one of these)."""

    UNKNOWN = "unknown"
    ANSWERED = "answered"
    HANDED = "handed"
    IGNORED = "ignored"
    PARKED = "parked"


class TurnKind(StrEnum):
    """What dispatch asks of the AI stage."""

    UNKNOWN = "unknown"
    START = "start"
    CANCEL = "cancel"


class Line(Struct, frozen=True, kw_only=True):
    """One line of a conversation's history, oldest first.

    Attributes:
        role: ``customer``, ``assistant`` or ``human``.
        text: What was said.
        wamid: WhatsApp's id of it, when known.
        at: When it was said.
    """

    role: str
    text: str
    wamid: str | None = None
    at: Millis


class Outcome(Struct, frozen=True, kw_only=True):
    """How one inbound message ended.

    Attributes:
        wamid: The message.
        kind: How it ended.
        reason: Why, as a short code such as ``rule:wants_person`` or ``duplicate``.
        turn_id: The turn that covered it, if one did.
    """

    wamid: str
    kind: OutcomeKind
    reason: str
    turn_id: str | None = None


class TimerFired(Envelope, frozen=True, kw_only=True):
    """A due time of a conversation came; one that is no longer due is ignored.

    Attributes:
        timer: Which timer of the conversation, such as ``burst`` or ``unknown_cap:<bubble>``.
        due_at: When it was due; part of the timer's identity.
    """

    timer: str
    due_at: Millis


class HandoffRequested(Envelope, frozen=True, kw_only=True):
    """A turn of a conversation is given to an agent, or taken back.

    Attributes:
        kind: ``start`` a turn or ``cancel`` it.
        turn_id: UUID of the turn.
        turn_seq: Number of the turn in its conversation, from 1.
        epoch: Epoch of the conversation; an older one must not act.
        from_agent: Who had the conversation before, if anyone.
        to_agent: ``triage``, ``sales``, ``support`` or ``human``.
        reason: The rule or intent that chose it, or why it is cancelled.
        phone_number_id: The business number.
        wamids: The customer's messages that this turn covers.
        history: What was said before, oldest first, bounded.
        question: The customer's words of this turn, one line a message.
        customer_name: Profile name of the customer, if known.
        deadline_at: When the answer is no longer wanted.
    """

    kind: TurnKind
    turn_id: str
    turn_seq: int
    epoch: int
    from_agent: str | None = None
    to_agent: str
    reason: str
    phone_number_id: str = ""
    wamids: tuple[str, ...] = ()
    history: tuple[Line, ...] = ()
    question: str = ""
    customer_name: str | None = None
    deadline_at: Millis


class ConversationChanged(Envelope, frozen=True, kw_only=True):
    """One step of a conversation: what dispatch decided, and why.

    Attributes:
        phase: Where the conversation stands after this step.
        phase_before: Where it stood.
        epoch: Epoch after this step.
        turn_seq: Number of the newest turn.
        turn_id: The turn that this step is about, if any.
        decision: What was decided, as a short code such as ``turn_started``.
        reason: Rule, intent or command that decided it, as a short code.
        intent: Intent of the customer, when one was found.
        owner: Who has the conversation: an agent's name, or ``human``.
        agent_user: The person who has it, if known.
        takeover_pending: True between a takeover and the gate's confirmation of it.
        outcomes: Messages that ended in this step.
        unread: Customer messages that no one has answered yet.
        window_expires_at: End of WhatsApp's 24 h service window; null is none open.
        phone_number_id: The business number.
    """

    phase: Phase
    phase_before: Phase
    epoch: int
    turn_seq: int
    turn_id: str | None = None
    decision: str
    reason: str
    intent: str | None = None
    owner: str | None = None
    agent_user: str | None = None
    takeover_pending: bool = False
    outcomes: tuple[Outcome, ...] = ()
    unread: int = 0
    window_expires_at: Millis | None = None
    phone_number_id: str = ""


class Fact(Struct, frozen=True, kw_only=True):
    """Something worth remembering about a customer.

    Attributes:
        name: What it is about, such as ``preferred_size``.
        value: What is known.
    """

    name: str
    value: str


class MemoryUpdateRequested(Envelope, frozen=True, kw_only=True):
    """Something to remember of a conversation.

    Attributes:
        turn_id: The turn it comes from.
        question: The customer's words of the turn.
        answer: What was answered.
        facts: Facts about the customer that the turn told.
    """

    turn_id: str
    question: str
    answer: str
    facts: tuple[Fact, ...] = ()


class StepTaken(Envelope, frozen=True, kw_only=True):
    """A step of a stage that nothing else tells of, or that replay may begin after.

    Every event that a stage applies is a step. One about which the stage says nothing changes
    its state all the same, so it is noted here; and so is now and then the state itself.

    Attributes:
        stage: ``dispatch``, ``ai``, ``tools`` or ``outbound``.
        state: The stage's state of the conversation after the step (JSON); null where it follows
            from earlier steps.
    """

    stage: str
    state: str | None = None
