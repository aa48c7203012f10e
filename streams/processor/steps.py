"""What is written down of a step, so that it can be decided again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from agents.core.sequels import caused_by
from agents.ports import Delivery, State
from schemas.changing import replace
from schemas.events import Event, StepTaken
from schemas.ids import derived
from streams.processor.hearing import Hearing
from streams.processor.stage import Stage

STATE_EVERY: Final = 100
"""Steps between two states that replay may begin from."""
STATE_BYTES: Final = 48 << 10
"""A larger state, with what was heard, is not written down: an effect is at most 64 KiB."""


class Applied(msgspec.Struct, frozen=True):
    """An event that a stage applies.

    Attributes:
        stage: The stage.
        event: The event.
        delivery: Where it stands in the log, and the time of the decision.
        hearing: What the stage hears while it decides.
    """

    stage: Stage
    event: Event
    delivery: Delivery
    hearing: Hearing


def written_down(
    applied: Applied, state: State, raw: bytes, events: tuple[Event, ...]
) -> tuple[Event, ...]:
    """Return what a step says, with what it heard on its last record.

    Args:
        applied: What was decided.
        state: The state after the step.
        raw: The same as JSON.
        events: What the stage says.
    """
    hearing = applied.hearing
    if events and state.seq % STATE_EVERY and not hearing.notes and not hearing.versions:
        return events  # as most steps: told of already, and nothing was heard
    causes = [said.cause for said in events if said.cause is not None]
    version = causes[-1].settings_version if causes else max(hearing.versions, default=0)
    heard = hearing.heard(version)
    if state.seq > 0:  # else it stands outside the order
        keeps = state.seq % STATE_EVERY == 0 and _small(raw, heard)
        if keeps or not events:
            events = (*events, *_noted(applied, state, raw.decode() if keeps else None, version))
    if not heard or not events or events[-1].cause is None:
        return events
    return (*events[:-1], replace(events[-1], cause=replace(events[-1].cause, heard=heard)))


def _small(raw: bytes, heard: Iterable[str]) -> bool:
    return len(raw) + sum(len(note.encode()) for note in heard) <= STATE_BYTES


def _noted(
    applied: Applied, state: State, kept: str | None, settings_version: int
) -> Iterator[StepTaken]:
    """Yield the record of a step that is not told of elsewhere, where the stage notes it."""
    stage = applied.stage
    if stage.noted is None:
        return
    yield StepTaken(
        event=stage.noted.name,
        event_id=derived(applied.event.event_id, stage.noted.name, stage.name, state.seq),
        trace_id=applied.event.trace_id,
        tenant_id=state.tenant_id,
        conversation_id=state.conversation_id,
        customer_id=state.customer_id,
        idempotency_key=f"{stage.name}:{state.conversation_id}:{state.seq}",
        occurred_at=applied.delivery.now_ms,
        cause=caused_by(
            applied.delivery.source,
            seq=state.seq,
            now_ms=applied.delivery.now_ms,
            settings_version=settings_version,
        ),
        stage=stage.name,
        state=kept,
    )
