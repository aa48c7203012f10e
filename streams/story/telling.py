"""What one record says, in words for a person."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.events import (
    ControlRequested,
    ConversationChanged,
    Event,
    HandoffRequested,
    HumanReplied,
    MemoryUpdateRequested,
    MessageReceived,
    OutboundKind,
    OutboundRequested,
    OutboundSettled,
    OutboundUpdated,
    ResponseGenerated,
    SettingsChanged,
    StatusReceived,
    StepTaken,
    TimerFired,
    ToolCallCompleted,
    ToolCallRequested,
    TurnKind,
)
from streams.story.details import (
    SEEN,
    Detail,
    call,
    day_and_time,
    decided,
    file,
    hidden,
    passages,
    person,
    time_of_day,
)


@dataclass(frozen=True, slots=True)
class Told:
    """A record in words.

    Attributes:
        what: One short sentence without private words.
        details: The facts.
    """

    what: str
    details: tuple[Detail, ...]


def tell(event: Event) -> Told:
    """Return a record in words, and how the stage that said it numbers the step."""
    told = _tell(event)
    steps = [detail for detail in decided(event.cause) if detail.value]
    return Told(told.what, (*told.details, *steps))


def _tell(event: Event) -> Told:  # noqa: C901, PLR0911, PLR0912 - one arm for each record
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
            return _bubble_ended(event)
        case StatusReceived():
            return _status(event)
        case TimerFired():
            return _timer(event)
        case HumanReplied():
            return _reply(event)
        case ControlRequested():
            return _control(event)
        case MemoryUpdateRequested():
            return _memory(event)
        case StepTaken():
            return _told(f"{event.stage} took a step")
        case SettingsChanged():
            return _told(f"settings version {event.version}")


def _told(what: str, *facts: tuple[str, object] | Detail) -> Told:
    """Return a told record; facts that are empty are left out."""
    details = [
        fact if isinstance(fact, Detail) else Detail(fact[0], _plain(fact[1])) for fact in facts
    ]
    return Told(what, tuple(detail for detail in details if detail.value))


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value in (None, 0) else str(value)


def _message(event: MessageReceived) -> Told:
    return _told(
        f"the customer sent {event.kind}" + ("" if event.answerable else ", not to be answered"),
        ("wamid", event.wamid),
        ("number", event.phone_number_id),
        ("WhatsApp's time", time_of_day(event.sent_at)),
        ("quotes", event.reply_to_wamid),
        ("about", event.target_wamid),
        ("raw part", event.raw_ref),
        person("sender", event.sender),
        hidden("text", event.text),
        hidden("reaction", event.reaction),
        hidden("button", event.button_id),
        *file(event.media),
    )


def _step(event: ConversationChanged) -> Told:
    return _told(
        f"decided: {event.decision}",
        ("reason", event.reason),
        ("intent", event.intent),
        ("phase", f"{event.phase_before} → {event.phase}"),
        ("owner", event.owner),
        ("person", event.agent_user),
        ("epoch", event.epoch),
        ("takeover", "not yet confirmed by the gate" if event.takeover_pending else ""),
        ("turn", event.turn_id),
        *(
            Detail("outcome", f"{outcome.wamid} {outcome.kind} ({outcome.reason})")
            for outcome in event.outcomes
        ),
    )


def _turn(event: HandoffRequested) -> Told:
    if event.kind is TurnKind.CANCEL:
        return _told(
            f"turn {event.turn_seq} taken back", ("reason", event.reason), ("turn", event.turn_id)
        )
    return _told(
        f"turn {event.turn_seq} given to {event.to_agent}",
        ("reason", event.reason),
        ("from", event.from_agent),
        ("turn", event.turn_id),
        ("epoch", event.epoch),
        ("history", f"{len(event.history)} lines" if event.history else ""),
        ("until", time_of_day(event.deadline_at)),
        ("messages", event.wamids),
        hidden("question", event.question),
    )


def _tool(event: ToolCallRequested) -> Told:
    return _told(
        f"{event.agent} asks for the tool {event.tool}",
        ("step", event.step),
        ("call", event.call_id),
        ("turn", event.turn_id),
        ("until", time_of_day(event.deadline_at)),
        *call(event.model_call),
        *passages(event.citations),
        hidden("arguments", event.arguments),
    )


def _tool_done(event: ToolCallCompleted) -> Told:
    return _told(
        f"the tool {event.tool} " + ("answered" if event.ok else f"refused: {event.error}"),
        ("step", event.step),
        ("call", event.call_id),
        ("changed something", "yes" if event.side_effect else ""),
        ("took", f"{event.duration_ms} ms"),
        hidden("content", event.content),
    )


def _response(event: ResponseGenerated) -> Told:
    made = [detail for each in event.calls for detail in call(each)]
    if not made and event.model:
        made = [Detail("model", f"{event.model}, prompt {event.prompt_version}")]
    return _told(
        f"{event.agent} {event.outcome}",
        ("reason", event.reason),
        ("handed to", event.handoff_to),
        ("turn", event.turn_id),
        ("tokens of the turn", event.prompt_tokens + event.completion_tokens),
        ("confidence", round(event.confidence, 3)),
        ("tool calls", event.tool_calls),
        ("changed something", event.side_effects),
        *made,
        *passages(event.citations),
        *(hidden("bubble", text) for text in event.bubbles),
    )


def _bubble(event: OutboundRequested) -> Told:
    if event.kind is OutboundKind.READ and event.read_wamid is None:
        return _told("no answer is shown to come any more")
    if event.kind is OutboundKind.READ:
        return _told("shown as read, with an answer to come", ("wamid", event.read_wamid))
    if event.kind is OutboundKind.MARKER:
        facts = (("marker", event.bubble_id), ("reason", event.reason))
        return _told(f"marker to the gate: epoch {event.epoch}", *facts)
    return _told(
        f"bubble {event.ordinal} of {event.of} of {event.author} to be sent",
        ("bubble", event.bubble_id),
        ("turn", event.turn_id),
        ("epoch", event.epoch),
        ("number", event.phone_number_id),
        ("window until", day_and_time(event.window_expires_at)),
        ("quotes", event.reply_to_wamid),
        person("recipient", event.recipient),
        hidden("text", event.text),
    )


def _bubble_now(event: OutboundUpdated) -> Told:
    return _told(
        f"{_thing(event.kind)} {event.state}",
        (_thing(event.kind), event.bubble_id),
        ("attempt", event.attempt),
        ("posted", "" if event.state in SEEN else time_of_day(event.posted_at)),
        ("wamid", event.wamid),
        ("error", event.error_code),
        ("reason", event.reason),
    )


def _bubble_ended(event: OutboundSettled) -> Told:
    ended = "settled:" if event.kind is not OutboundKind.REPORT else "reported by WhatsApp:"
    return _told(
        f"{_thing(event.kind)} {ended} {event.state}",
        (_thing(event.kind), event.bubble_id),
        ("wamid", event.wamid),
        ("error", event.error_code),
        ("reason", event.reason),
    )


def _thing(kind: OutboundKind) -> str:
    return "marker" if kind is OutboundKind.MARKER else "bubble"


def _status(event: StatusReceived) -> Told:
    error = f"{event.error_code} {event.error_title or ''}" if event.error_code else ""
    billed = {None: "", False: "no", True: event.pricing_category or "yes"}
    return _told(
        f"WhatsApp says: {event.status}",
        ("wamid", event.wamid),
        ("bubble", event.bubble_id),
        ("attempt", event.attempt),
        ("WhatsApp's time", time_of_day(event.status_at)),
        ("error", error.strip()),
        ("billed", billed[event.billable]),
    )


def _timer(event: TimerFired) -> Told:
    kind, _, about = event.timer.partition(":")
    return _told(f"timer {kind} fired", ("of", about), ("due", time_of_day(event.due_at)))


def _reply(event: HumanReplied) -> Told:
    return _told(
        f"a person replied ({event.origin})",
        ("person", event.agent_user),
        ("reply", event.reply_id),
        ("wamid", event.wamid),
        hidden("text", event.text),
    )


def _control(event: ControlRequested) -> Told:
    return _told(
        f"{event.command} requested",
        ("person", event.agent_user),
        ("reason", event.reason),
        ("request", event.request_id),
        ("until", day_and_time(event.until)),
        hidden("tag", event.tag or None),
    )


def _memory(event: MemoryUpdateRequested) -> Told:
    return _told(
        "something to remember",
        ("turn", event.turn_id),
        *(hidden("fact", f"{fact.name}: {fact.value}") for fact in event.facts),
    )
