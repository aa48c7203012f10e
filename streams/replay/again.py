"""One step decided again: the same stage, the same state, the same event, the same answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from schemas.events import Event, Position
from streams.kafka.publish import Encoder, Record, record_of
from streams.processor.hearing import GIVEN_UP, listening, notes
from streams.processor.stage import Stage
from streams.processor.steps import Applied, written_down
from streams.replay.found import Step
from streams.replay.recalled import Recalled

T = TypeVar("T")
ENCODER: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Redone:
    """A step that was decided again.

    Attributes:
        state: The state after it, as JSON.
        said: What the stage says, in order.
        records: The same as records.
    """

    state: bytes
    said: tuple[Event, ...]
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Redelivery:
    """A delivery as it was (``agents.ports.Delivery``)."""

    source: Position
    now_ms: int
    recalled: Recalled

    async def unless(
        self,
        newer: Callable[[Event], bool],
        call: Awaitable[T],
        /,
        *,
        stopped: Callable[[], Awaitable[None]] | None = None,
    ) -> T:
        """Await the call, or raise Superseded where that happened."""
        del newer, stopped
        asked = False

        async def cut_short() -> T:
            nonlocal asked
            asked = True
            return await call

        try:
            return await self.recalled.unless(cut_short)
        finally:
            if not asked and (close := getattr(call, "close", None)) is not None:
                close()


class Redoer:
    """Decides steps again.

    Args:
        stages: The stages, wired as for workers; their ports are never asked.
        codec: Turns events into bytes.
    """

    def __init__(self, stages: Mapping[str, Stage], codec: Encoder) -> None:
        self.stages = stages
        self.codec = codec
        self.states = {name: msgspec.json.Decoder(stage.state) for name, stage in stages.items()}

    async def redo(self, name: str, state: bytes, event: Event, step: Step) -> Redone:
        """Decide one step again.

        Args:
            name: The stage.
            state: Its state before, as JSON; empty is none.
            event: The event that it applied.
            step: The step as it was.

        Raises:
            Exception: Whatever the stage raises; it did not raise it then.
        """
        stage = self.stages[name]
        recalled = Recalled(notes(step.heard), step.cause.settings_version)
        delivery = Redelivery(step.source, step.cause.decided_at, recalled)
        if step.cause.seq == 0:  # it stands outside the order: the state could not be read
            before = stage.blank(event)
        else:
            before = self.states[name].decode(state) if state else None
        with listening(recalled):
            after, said = await self._decide(stage, before, event, delivery)
        raw = ENCODER.encode(after)
        applied = Applied(stage, event, delivery, recalled)
        told = written_down(applied, after, raw, said)
        return Redone(raw, told, tuple(record_of(each, self.codec) for each in told))

    async def _decide(
        self, stage: Stage, before: Any, event: Event, delivery: Redelivery
    ) -> tuple[Any, tuple[Event, ...]]:
        given_up = delivery.recalled.given_up
        if given_up is None:
            return await stage.agent(before, event, delivery)
        hook, reason = given_up
        delivery.recalled.told(GIVEN_UP, [hook, reason])
        after: tuple[Any, tuple[Event, ...]] = await getattr(stage, hook)(
            before, event, delivery, reason
        )
        return after
