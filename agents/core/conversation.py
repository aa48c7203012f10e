"""The conversation, and the one table of what may become of it.

Rule 1: the phase changes in ``evolve`` only, and ``evolve`` only reads ``TRANSITIONS``; a
move that is not in the table is refused and the state stays as it was.
Rule 2: the epoch only grows. What the AI does for an older epoch must have no effect.
Rule 3: ``gathering`` has the timer ``burst``; a running or cancelled turn has the timer
``turn``; whatever waits for an outcome has a timer, so nothing waits for ever.
Rule 4: everything in the state is bounded, whatever the customer sends.

A turn that a newer message cancelled stays in the state until the AI stage has answered the
cancel: only then is it known whether something happened outside, and only then may the next
turn start, so the same question is never acted on twice at the same time.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from msgspec import Struct, field

from agents.core.spoken import Spoken
from schemas.changing import replace
from schemas.errors import Rejected
from schemas.events import MessageKind, Person, Phase


class Trigger(StrEnum):
    """What moves a conversation from one phase to another."""

    MESSAGE = "message"  #: A customer's message that wants an answer.
    SUPERSEDE = "supersede"  #: A newer message cancels the running turn.
    START = "start"  #: A turn is given to an agent.
    WAIT = "wait"  #: The burst is over, but the cancelled turn has not ended yet.
    EMPTY = "empty"  #: Nothing is left to answer.
    ANSWER = "answer"  #: The turn was answered.
    HAND = "hand"  #: The pipeline gives the conversation to a person.
    TAKE = "take"  #: A person takes it.
    RELEASE = "release"  #: A person gives it back, or a pause ends.
    PAUSE = "pause"  #: A person silences the AI.
    CLOSE = "close"  #: A person closes it.
    FLOOD = "flood"  #: More messages wait than a conversation may hold.
    UNPARK = "unpark"  #: An operator lets it go on.


_PEOPLE: Final = {
    Trigger.TAKE: Phase.WITH_HUMAN,
    Trigger.PAUSE: Phase.PAUSED,
    Trigger.CLOSE: Phase.CLOSED,
}

TRANSITIONS: Final[dict[Phase, dict[Trigger, Phase]]] = {
    Phase.IDLE: {
        Trigger.MESSAGE: Phase.GATHERING,
        Trigger.START: Phase.THINKING,
        Trigger.HAND: Phase.WITH_HUMAN,
        **_PEOPLE,
    },
    Phase.GATHERING: {
        Trigger.MESSAGE: Phase.GATHERING,
        Trigger.START: Phase.THINKING,
        Trigger.WAIT: Phase.THINKING,
        Trigger.ANSWER: Phase.GATHERING,
        Trigger.EMPTY: Phase.IDLE,
        Trigger.HAND: Phase.WITH_HUMAN,
        Trigger.FLOOD: Phase.PARKED,
        **_PEOPLE,
    },
    Phase.THINKING: {
        Trigger.MESSAGE: Phase.THINKING,
        Trigger.SUPERSEDE: Phase.GATHERING,
        Trigger.START: Phase.THINKING,
        Trigger.ANSWER: Phase.IDLE,
        Trigger.EMPTY: Phase.IDLE,
        Trigger.HAND: Phase.WITH_HUMAN,
        Trigger.FLOOD: Phase.PARKED,
        **_PEOPLE,
    },
    Phase.WITH_HUMAN: {
        Trigger.MESSAGE: Phase.WITH_HUMAN,
        Trigger.RELEASE: Phase.IDLE,
        **_PEOPLE,
    },
    Phase.PAUSED: {
        Trigger.MESSAGE: Phase.PAUSED,
        Trigger.RELEASE: Phase.IDLE,
        Trigger.HAND: Phase.WITH_HUMAN,
        Trigger.FLOOD: Phase.PARKED,
        **_PEOPLE,
    },
    Phase.PARKED: {
        Trigger.MESSAGE: Phase.PARKED,
        Trigger.UNPARK: Phase.IDLE,
        Trigger.TAKE: Phase.WITH_HUMAN,
        Trigger.CLOSE: Phase.CLOSED,
    },
    Phase.CLOSED: {
        Trigger.MESSAGE: Phase.GATHERING,
        Trigger.START: Phase.THINKING,
        Trigger.HAND: Phase.WITH_HUMAN,
        Trigger.TAKE: Phase.WITH_HUMAN,
        Trigger.PAUSE: Phase.PAUSED,
    },
}
"""Phase x trigger -> phase. What is not here does not happen."""


class Early(Struct, frozen=True):
    """An edit or a revoke that was delivered before the message that it changes.

    Attributes:
        wamid: WhatsApp's id of that message.
        text: Its new words; None when the customer took it back.
        sent_ms: When the customer changed it.
    """

    wamid: str
    text: str | None
    sent_ms: int


class Pending(Struct, frozen=True, kw_only=True):
    """A customer's message that has no outcome yet.

    Attributes:
        wamid: WhatsApp's id of it.
        text: Its words, or a placeholder for what has none.
        kind: Its type.
        trace_id: The trace that it started.
        received_ms: When it was received.
        corrects: True when an answer to its earlier words was sent: these are its new ones.
    """

    wamid: str
    text: str
    kind: MessageKind
    trace_id: str
    received_ms: int
    corrects: bool = False


class RunningTurn(Struct, frozen=True, kw_only=True):
    """A turn that the AI stage has not ended yet.

    Attributes:
        turn_id: UUID of the turn.
        turn_seq: Its number in the conversation.
        agent: Who works on it.
        messages: What it answers.
        started_ms: When it was given to the agent.
        cancelled: True once it was taken back; its end is still awaited.
        hops: How often an agent handed these messages to another agent.
        asked: What it was given, by wamid, where an edit has changed it since.
    """

    turn_id: str
    turn_seq: int
    agent: str
    messages: tuple[Pending, ...]
    started_ms: int
    cancelled: bool = False
    hops: int = 0
    asked: dict[str, str] = field(default_factory=dict)

    @property
    def given(self) -> tuple[Pending, ...]:
        """Its messages, in the words that it was given."""
        return tuple(
            replace(each, text=self.asked.get(each.wamid, each.text)) for each in self.messages
        )

    @property
    def open(self) -> tuple[Pending, ...]:
        """Those whose words it does not know, so that it cannot answer them."""
        return tuple(
            now for now, then in zip(self.messages, self.given, strict=True) if now != then
        )


class Conversation(Struct, frozen=True, kw_only=True):
    """Everything that dispatch knows of one conversation.

    Attributes:
        tenant_id: The company.
        conversation_id: The conversation.
        customer_id: The customer.
        seq: Number of the last step, from 1.
        timers: Due time of each armed timer: ``burst``, ``turn``, ``pause``, ``handoff`` (no
            person came yet), ``return`` (the person is silent).
        phase: Where it stands.
        epoch: Raised whenever what the AI is doing must have no effect any more.
        turn_seq: Number of the newest turn.
        turn: The turn that the AI stage has not ended yet.
        pending: Messages that wait for a turn, oldest first.
        early: Changes of messages that were not delivered yet, oldest first, bounded.
        gathering_since_ms: When the open burst began; 0 without one.
        superseded: How often the waiting messages' turn was cancelled for a newer message.
        heard_ms: When the newest message for the AI was received; 0 before any.
        heard_sent_ms: WhatsApp's timestamp of it.
        rhythm_ms: Smoothed gap between the customer's messages in a burst; None before one.
        history: What was said and settled, oldest first, bounded.
        seen: Natural ids that were acted on; see ``agents.core.seen``.
        seen_elsewhere: Newest day of ids that left the state; 0 is none.
        intent: Intent of the newest turn, when a rule found one.
        owner: Who has it: an agent's name or ``human``.
        agent_user: The person who has it, if known.
        attended: True once a person did something since people have the conversation.
        stays: True when the newest hand-over came in a pause: only a person ends it.
        tags: Tags on it that give it to people, in the form in which tags are compared.
        silenced: True when a marker told the gate to let no AI bubble pass.
        silenced_epoch: Epoch of the newest such marker; 0 before any.
        marker_id: Marker of a takeover that the gate has not confirmed yet.
        marker_ms: When that takeover was decided.
        awaiting: Bubbles of the AI and of automation that the gate has not settled yet.
        unread: Customer messages that no one has answered yet.
        window_expires_ms: End of the 24 h window, with a margin; None before any message.
        phone_number_id: The business number.
        person: The customer as WhatsApp names them.
    """

    tenant_id: str
    conversation_id: str
    customer_id: str
    seq: int = 0
    timers: dict[str, int] = field(default_factory=dict)
    phase: Phase = Phase.IDLE
    epoch: int = 0
    turn_seq: int = 0
    turn: RunningTurn | None = None
    pending: tuple[Pending, ...] = ()
    early: tuple[Early, ...] = ()
    gathering_since_ms: int = 0
    superseded: int = 0
    heard_ms: int = 0
    heard_sent_ms: int = 0
    rhythm_ms: int | None = None
    history: tuple[Spoken, ...] = ()
    seen: dict[str, str] = field(default_factory=dict)
    seen_elsewhere: int = 0
    intent: str | None = None
    owner: str | None = None
    agent_user: str | None = None
    attended: bool = False
    stays: bool = False
    tags: tuple[str, ...] = ()
    silenced: bool = False
    silenced_epoch: int = 0
    marker_id: str | None = None
    marker_ms: int = 0
    awaiting: tuple[str, ...] = ()
    unread: int = 0
    window_expires_ms: int | None = None
    phone_number_id: str = ""
    person: Person = field(default_factory=Person)


def allows(phase: Phase, trigger: Trigger) -> bool:
    """Say whether the table has this move."""
    return trigger in TRANSITIONS.get(phase, {})


def evolve(state: Conversation, trigger: Trigger, **changes: Any) -> Conversation:
    """Return the conversation after the trigger, with the other changes that come with it.

    Raises:
        Rejected: The table has no such move; ``state`` is as it was.
    """
    after = TRANSITIONS.get(state.phase, {}).get(trigger)
    if after is None:
        raise Rejected("illegal_transition", f"{trigger} in phase {state.phase}")
    return replace(state, phase=after, **changes)


def diagram() -> str:
    """Return the table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {Phase.IDLE}"]
    for phase, moves in TRANSITIONS.items():
        targets: dict[Phase, list[str]] = {}
        for trigger, after in moves.items():
            targets.setdefault(after, []).append(trigger)
        lines += [f"    {phase} --> {after}: {', '.join(on)}" for after, on in targets.items()]
    return "\n".join(lines) + "\n"
