"""One line for each record, as it comes. Pure."""

from __future__ import annotations

from typing import Final

from schemas.events import Position
from sinks.ports import Recorded
from streams.story.concerning import cause_of
from streams.story.details import clock
from streams.story.telling import tell
from streams.story.trace import at_of

KEY_CHARS: Final = 11
WHERE_CHARS: Final = 36
SHOWN: Final = frozenset({"reason", "intent", "text", "outcome", "phase"})
STYLES: Final = {
    "inbox.message.received": "bold cyan",
    "inbox.human.replied": "bold magenta",
    "inbox.control.requested": "magenta",
    "agent.ai.response.generated": "bold green",
    "tools.call.requested": "yellow",
    "tools.call.completed": "yellow",
    "outbound.message.settled": "green",
    "inbox.status.received": "dim",
    "conversation.timer.fired": "dim",
}
"""How a terminal shows each topic; the others are plain."""
TEXT_CHARS: Final = 60


class Lines:
    """Makes lines; remembers when each record was, for the time since its cause."""

    def __init__(self) -> None:
        self.times: dict[Position, int] = {}

    def line(self, record: Recorded) -> str:
        """Return time, place, shortened key, what happened, and how long since its cause."""
        place, at_ms = record.position, at_of(record.event)
        self.times[place] = at_ms
        cause = cause_of(record.event)
        began = self.times.get(cause) if cause else None
        since = f" +{max(0, at_ms - began)} ms" if began is not None else ""
        where = f"{place.topic} {place.partition}@{place.offset}"
        key = record.event.conversation_id[:KEY_CHARS]
        told = tell(record.event)
        facts = "; ".join(
            _short(detail.value.replace("\n", " "))
            for detail in told.details
            if detail.name in SHOWN
        )
        words = f"{told.what}: {facts}" if facts else told.what
        return f"{clock(at_ms)} {where:<{WHERE_CHARS}} {key} {words}{since}"


def _short(text: str) -> str:
    return text if len(text) <= TEXT_CHARS else text[: TEXT_CHARS - 1] + "…"
