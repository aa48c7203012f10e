"""Natural ids: what makes two records of different events one event."""

from __future__ import annotations

from schemas.events import (
    ControlRequested,
    Event,
    HumanReplied,
    MessageReceived,
    OutboundKind,
    OutboundSettled,
    ResponseGenerated,
)


def natural_id(event: Event) -> str | None:
    """Return the id by which dispatch knows a repetition; None where a state tells it."""
    match event:
        case MessageReceived():
            return f"{event.phone_number_id}:{event.wamid}"
        case HumanReplied():
            return f"reply:{event.reply_id}"
        case ControlRequested():
            # Whoever names what is asked by their ticket may take it over and release it, and put
            # several tags on it.
            about = f":{event.tag}" if event.tag else ""
            return f"control:{event.command}:{event.request_id}{about}"
        case OutboundSettled(kind=OutboundKind.REPORT):
            return f"report:{event.bubble_id}"
        case ResponseGenerated() if event.side_effects:
            return f"effects:{event.turn_id}"
        case _:
            return None


def aside_id(event: Event) -> str | None:
    """Return the id by which dispatch knows that it has said of a message that it is set aside."""
    natural = natural_id(event)
    return None if natural is None else f"parked:{natural}"
