"""The facts of a record as text; what a person wrote, or is named by, is marked as private."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from schemas.events import BubbleState, Cause, Citation, Media, ModelCall, Person, Position

SHOWN_DIGITS: Final = 2
SHOWN_HASH: Final = 12
"""Digits of a hash that are shown: enough to find it, short enough to compare by eye."""

SEEN: Final = (BubbleState.SENT, BubbleState.DELIVERED, BubbleState.READ, BubbleState.PLAYED)
"""States that WhatsApp tells later: the time of posting is told with those before."""


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


def clock(at_ms: int) -> str:
    """Return the time of day, UTC, with milliseconds."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds")[11:23]


def where(position: Position) -> str:
    """Return a position as Kafka's tools are asked for it: ``topic[partition]@offset``."""
    return f"{position.topic}[{position.partition}]@{position.offset}"


def time_of_day(at_ms: int | None) -> str:
    """Return a time of day, or nothing."""
    return "" if at_ms is None else clock(at_ms)


def day(at_ms: int) -> str:
    """Return the day, UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()


def day_and_time(at_ms: int | None) -> str:
    """Return a time that may be on another day, or nothing."""
    return "" if at_ms is None else f"{day(at_ms)} {clock(at_ms)}"


def hidden(name: str, text: str | None) -> Detail:
    """Return what a person wrote, or what names one."""
    return Detail(name, text or "", private=True)


def person(name: str, who: Person | None) -> Detail:
    """Return who wrote or is written to."""
    return hidden(name, None if who is None else who.wa_id or who.user_id)


def file(media: Media | None) -> tuple[Detail, ...]:
    """Return what is known of a file without fetching it."""
    if media is None:
        return ()
    kind = f"{media.mime_type or 'unknown type'}{', voice note' if media.voice else ''}"
    return (Detail("file", f"{media.media_id}, {kind}"), hidden("file name", media.filename))


def call(made: ModelCall | None) -> tuple[Detail, ...]:
    """Return a call of the model: which one, with which prompt, when, and what it cost."""
    if made is None:
        return ()
    said = (
        f"{made.model}, prompt {made.prompt_version}, step {made.step},"
        f" asked {clock(made.requested_at)}, {made.answered_at - made.requested_at} ms,"
        f" {made.prompt_tokens}+{made.completion_tokens} tokens, {made.finish_reason}"
    )
    return (Detail("model", said),)


def passages(citations: Iterable[Citation]) -> tuple[Detail, ...]:
    """Return the passages that the model was given: how alike, from where, which text."""
    return tuple(
        Detail(
            "passage",
            f"{each.score:.3f} {each.source} {each.passage_id} sha256 {each.sha256[:SHOWN_HASH]}",
        )
        for each in citations
    )


def decided(cause: Cause | None) -> tuple[Detail, ...]:
    """Return the number of the step and the settings that a stage decided with."""
    if cause is None:
        return ()
    version = str(cause.settings_version) if cause.settings_version else ""
    return (Detail("seq", str(cause.seq)), Detail("settings", version))
