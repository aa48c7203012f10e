"""What consoles show, customers see and later turns recall at the end of a run."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The rows of one conversation in the transcripts.

    Attributes:
        conversation_id: The conversation.
        seq: Number of the newest step of dispatch that is shown.
        phase: The phase that is shown.
        messages: Ids of the messages and bubbles.
        outcomes: Outcome of each message, by wamid.
        memories: Ids of what is remembered; None in a history that did not look.
    """

    conversation_id: str
    seq: int
    phase: str
    messages: tuple[str, ...] = ()
    outcomes: dict[str, str] = field(default_factory=dict)
    memories: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A message that its customer saw marked as read during the run.

    Attributes:
        wamid: WhatsApp's id of it.
        times: How often: the typing indicator comes with it, and is shown again.
    """

    wamid: str
    times: int
