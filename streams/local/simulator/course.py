"""What is told of one message that was accepted: which statuses, when, in which order. Pure.

Source: Meta, "WhatsApp Cloud API: Status messages webhooks"; their order is not guaranteed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from schemas.changing import replace
from streams.local.simulator.script import Kind, Script, Wish

DELAYS_MS: Final = {"sent": 5, "delivered": 40, "read": 120}
"""Milliseconds after acceptance at which each status is told."""

TWICE_MS: Final = 60
"""How much later a status is told again: in another POST."""

UNDELIVERABLE: Final = 131026
"""Usual code of a message that failed after it was accepted."""

ENDS: Final = (
    Kind.FAILED,
    Kind.FAILED_THEN_DELIVERED,
    Kind.UNDELIVERED,
    Kind.UNREAD,
    Kind.ONLY_READ,
    Kind.SILENT,
)
"""Kinds that exclude one another."""


@dataclass(frozen=True, slots=True)
class Told:
    """One status.

    Attributes:
        state: ``sent``, ``delivered``, ``read`` or ``failed``.
        after_ms: When it is told, milliseconds after acceptance.
        stamp_ms: When it happened, by its timestamp, milliseconds after acceptance.
        code: Meta's error code of ``failed``; 0 of the others.
    """

    state: str
    after_ms: int
    stamp_ms: int
    code: int = 0


@dataclass(frozen=True, slots=True)
class Course:
    """All that is told of one message, and the wishes that made it so."""

    told: tuple[Told, ...]
    acts: tuple[Wish, ...]


def usual(states: Sequence[str] = tuple(DELAYS_MS)) -> tuple[Told, ...]:
    """Return these statuses at their usual times."""
    return tuple(Told(state, DELAYS_MS[state], DELAYS_MS[state]) for state in states)


def course(script: Script, states: Sequence[str] = tuple(DELAYS_MS)) -> Course:
    """Decide what is told of one more message."""
    acts: list[Wish] = []
    told = usual(states)
    if end := script.first(*ENDS):
        acts.append(end)
        told = _ended(end)
    if told and (late := script.act(Kind.STATUS_LATE)):
        acts.append(late)
        told = tuple(
            replace(each, after_ms=each.after_ms + round(late.lasts_s * 1000)) for each in told
        )
    if len(told) > 1 and (reorder := script.act(Kind.STATUS_REORDER)):
        acts.append(reorder)
        times = [each.after_ms for each in told]
        told = tuple(
            replace(each, after_ms=after_ms)
            for each, after_ms in zip(reversed(told), times, strict=True)
        )
    if told and (twice := script.act(Kind.STATUS_TWICE)):
        acts.append(twice)
        told += tuple(replace(each, after_ms=each.after_ms + TWICE_MS) for each in told)
    return Course(told, tuple(acts))


def _ended(end: Wish) -> tuple[Told, ...]:
    failed = Told("failed", DELAYS_MS["sent"], DELAYS_MS["sent"], end.code or UNDELIVERABLE)
    ends: dict[Kind, tuple[Told, ...]] = {
        Kind.FAILED: (failed,),
        Kind.FAILED_THEN_DELIVERED: (failed, *usual(("delivered", "read"))),
        Kind.UNDELIVERED: usual(("sent",)),
        Kind.UNREAD: usual(("sent", "delivered")),
        Kind.ONLY_READ: usual(("sent", "read")),
        Kind.SILENT: (),
    }
    return ends[end.kind]
