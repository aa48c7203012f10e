"""What one record says, in words for a person; what a customer wrote stays marked as private."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from schemas.events import (
    Citation,
    ControlRequested,
    ConversationChanged,
    Event,
    HandoffRequested,
    HumanReplied,
    MemoryUpdateRequested,
    MessageReceived,
    ModelCall,
    OutboundKind,
    OutboundRequested,
    OutboundSettled,
    OutboundUpdated,
    Person,
    ResponseGenerated,
    SettingsChanged,
    StatusReceived,
    TimerFired,
    ToolCallCompleted,
    ToolCallRequested,
    TurnKind,
)

SHOWN_DIGITS: Final = 2


@dataclass(frozen=True, slots=True)
class Detail:
    """One fact of a record.

    Attributes:
        name: What it is.
        value: The fact, as text.
        private: True when a person wrote it or is named by it.
    """

    name: str
    value: str
    private: bool = False

    def shown(self, *, show_text: bool) -> str:
        """Return the value, masked when it is private."""
        if show_text or not self.private:
            return self.value
        if self.name in ("sender", "recipient"):
            return f"…{self.value[-SHOWN_DIGITS:]}"
        return f"[{len(self.value)} characters]"


@dataclass(frozen=True, slots=True)
class Told:
    """A record in words.

    Attributes:
        what: One short sentence without private words.
        details: The facts.
    """

    what: str
    details: tuple[Detail, ...]


def tell(event: Event) -> Told:  # noqa: C901, PLR0911, PLR0912 - one arm for each record
    """Return a record in words."""
    match event:
        case MessageReceived():
            return _message(event)
        case ConversationChanged():
            return _step(event)
        case HandoffRequested():
            return _turn(event)
        case ToolCallRequested():
            return _tool(event)
        case ToolCallCompleted():
            return _tool_done(event)
        case ResponseGenerated():
            return _response(event)
        case OutboundRequested():
            return _bubble(event)
        case OutboundUpdated():
            return _bubble_now(event)
        case OutboundSettled():
            return _told(f"{event.kind} settled: {event.state}", ("reason", event.reason))
        case StatusReceived():
            return _status(event)
        case TimerFired():
            return _told(f"timer {event.timer.partition(':')[0]} fired")
        case HumanReplied():
            return _reply(event)
        case ControlRequested():
            return _control(event)
        case MemoryUpdateRequested():
            return _told("something to remember", ("facts", len(event.facts)))
        case SettingsChanged():
            return _told(f"settings version {event.version}")


def _told(what: str, *facts: tuple[str, object], private: Iterable[Detail] = ()) -> Told:
    """Return a told record; facts that are empty are left out."""
    details = [Detail(name, str(value)) for name, value in facts if value not in (None, "", (), 0)]
    return Told(what, (*details, *(detail for detail in private if detail.value)))


def _message(event: MessageReceived) -> Told:
    return _told(
        f"the customer sent {event.kind}" + ("" if event.answerable else ", not to be answered"),
        ("wamid", event.wamid),
        ("quotes", event.reply_to_wamid),
        ("about", event.target_wamid),
        private=(_person("sender", event.sender), Detail("text", event.text or "", private=True)),
    )


def _step(event: ConversationChanged) -> Told:
    outcomes = [
        Detail("outcome", f"{outcome.wamid} {outcome.kind} ({outcome.reason})")
        for outcome in event.outcomes
    ]
    return _told(
        f"decided: {event.decision}",
        ("reason", event.reason),
        ("intent", event.intent),
        ("phase", f"{event.phase_before} → {event.phase}"),
        ("owner", event.owner),
        ("epoch", event.epoch),
        ("seq", event.cause.seq if event.cause else 0),
        ("settings", event.cause.settings_version if event.cause else 0),
        private=outcomes,
    )


def _turn(event: HandoffRequested) -> Told:
    if event.kind is TurnKind.CANCEL:
        return _told(f"turn {event.turn_seq} taken back", ("reason", event.reason))
    return _told(
        f"turn {event.turn_seq} given to {event.to_agent}",
        ("reason", event.reason),
        ("from", event.from_agent),
        ("messages", len(event.wamids)),
        ("turn", event.turn_id),
        private=(Detail("question", event.question, private=True),),
    )


def _tool(event: ToolCallRequested) -> Told:
    return Told(
        f"{event.agent} asks for the tool {event.tool}",
        (
            Detail("step", str(event.step)),
            Detail("call", event.call_id),
            *_call(event.model_call),
            *_passages(event.citations),
            Detail("arguments", event.arguments, private=True),
        ),
    )


def _tool_done(event: ToolCallCompleted) -> Told:
    return _told(
        f"the tool {event.tool} " + ("answered" if event.ok else f"refused: {event.error}"),
        ("step", event.step),
        ("call", event.call_id),
        ("changed something", event.side_effect or None),
        ("took", f"{event.duration_ms} ms"),
        private=(Detail("content", event.content, private=True),),
    )


def _response(event: ResponseGenerated) -> Told:
    calls = [detail for call in event.calls for detail in _call(call)]
    bubbles = [Detail("bubble", text, private=True) for text in event.bubbles]
    return _told(
        f"{event.agent} {event.outcome}",
        ("reason", event.reason),
        ("handed to", event.handoff_to),
        ("tokens of the turn", event.prompt_tokens + event.completion_tokens),
        ("confidence", round(event.confidence, 3)),
        ("side effects", len(event.side_effects)),
        private=(*calls, *_passages(event.citations), *bubbles),
    )


def _bubble(event: OutboundRequested) -> Told:
    if event.kind is OutboundKind.MARKER:
        return _told(f"marker to the gate: epoch {event.epoch}", ("reason", event.reason))
    return _told(
        f"bubble {event.ordinal} of {event.of} of {event.author} to be sent",
        ("bubble", event.bubble_id),
        ("epoch", event.epoch),
        private=(
            _person("recipient", event.recipient),
            Detail("text", event.text or "", private=True),
        ),
    )


def _bubble_now(event: OutboundUpdated) -> Told:
    return _told(
        f"{'bubble' if event.kind is OutboundKind.MESSAGE else 'marker'} {event.state}",
        ("bubble", event.bubble_id),
        ("attempt", event.attempt),
        ("wamid", event.wamid),
        ("error", event.error_code),
        ("reason", event.reason),
    )


def _status(event: StatusReceived) -> Told:
    return _told(
        f"WhatsApp says: {event.status}",
        ("wamid", event.wamid),
        ("bubble", event.bubble_id),
        ("error", event.error_code),
    )


def _reply(event: HumanReplied) -> Told:
    return _told(
        f"a person replied ({event.origin})",
        ("person", event.agent_user),
        private=(Detail("text", event.text or "", private=True),),
    )


def _control(event: ControlRequested) -> Told:
    return _told(
        f"{event.command} requested", ("person", event.agent_user), ("reason", event.reason)
    )


def _person(name: str, person: Person) -> Detail:
    return Detail(name, person.wa_id or person.user_id or "", private=True)


def _call(call: ModelCall | None) -> tuple[Detail, ...]:
    if call is None:
        return ()
    took = call.answered_at - call.requested_at
    said = (
        f"{call.model}, prompt {call.prompt_version}, step {call.step}, {took} ms,"
        f" {call.prompt_tokens}+{call.completion_tokens} tokens, {call.finish_reason}"
    )
    return (Detail("model", said),)


def _passages(citations: Iterable[Citation]) -> tuple[Detail, ...]:
    return tuple(
        Detail("passage", f"{each.passage_id} from {each.source}, score {each.score:.3f}")
        for each in citations
    )
