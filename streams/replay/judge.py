"""Every step of a conversation decided again and held against the log, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from schemas.codec import HEADER
from schemas.events import Event, Position
from streams.kafka.publish import Record
from streams.logs import place
from streams.replay.again import Redoer, Redone
from streams.replay.differences import Difference, first
from streams.replay.found import Actor, Found, Step
from streams.replay.recalled import Forgotten, Unheard
from streams.story.details import where


@dataclass(slots=True)
class Verdict:
    """What came of the steps of one stage in one conversation.

    Attributes:
        actor: The stage and the conversation.
        replayed: Steps that were decided again.
        skipped: Steps before the first one that could be.
        difference: The first difference; the steps behind it were not decided again.
        older: Records that are equal, but were written with an older schema.
    """

    actor: Actor
    replayed: int = 0
    skipped: int = 0
    difference: Difference | None = None
    older: int = 0


class Judge:
    """Judges steps.

    Args:
        redoer: Decides them again.
        inputs: Events by position.
        since_ms: Steps before this time are followed, but not judged.
        horizon_ms: Time before which the log is not whole any more; 0 when nothing was cut.
        show_text: Show what people and the model wrote where it differs.
    """

    def __init__(
        self,
        redoer: Redoer,
        inputs: Mapping[Position, Event],
        *,
        since_ms: int = 0,
        horizon_ms: int = 0,
        show_text: bool = False,
    ) -> None:
        self.redoer = redoer
        self.inputs = inputs
        self.since_ms = since_ms
        self.horizon_ms = horizon_ms
        self.show_text = show_text

    async def judge(self, actor: Actor, steps: Sequence[Step]) -> Verdict:
        """Decide the steps of one stage in one conversation again, to the first difference."""
        verdict = Verdict(actor)
        outside = sum(step.cause.seq == 0 for step in steps)
        for step in steps[:outside]:
            if await self._judged(verdict, b"", step) is None:
                return verdict
        steps = steps[outside:]
        begun = verdict.skipped = self._beginning(steps)
        state = (steps[begun - 1].state or "").encode() if begun else b""
        seq = steps[begun - 1].cause.seq if begun else 0
        for step in steps[begun:]:
            seq += 1
            if step.cause.seq != seq:
                verdict.difference = Difference(seq, "no record tells of this step", missing=True)
                break
            after = await self._judged(verdict, state, step)
            if after is None:
                break
            state = after
        return verdict

    async def _judged(self, verdict: Verdict, state: bytes, step: Step) -> bytes | None:
        """Return the state after a step; None when it is not what it was."""
        redone = await self._redone(verdict.actor, state, step)
        if isinstance(redone, Difference):
            verdict.difference = redone
            return None
        verdict.replayed += 1
        verdict.difference = self._compared(step, redone, verdict)
        return None if verdict.difference else redone.state

    def _beginning(self, steps: Sequence[Step]) -> int:
        """Return how many steps must be skipped: where the log was cut, up to a written state."""
        cut = sum(step.cause.decided_at < self.horizon_ms for step in steps)
        if not self.horizon_ms or not steps or (cut == 0 and steps[0].cause.seq == 1):
            return 0
        written = (at for at, step in enumerate(steps, 1) if at >= cut and step.state is not None)
        return next(written, len(steps))

    async def _redone(self, actor: Actor, state: bytes, step: Step) -> Redone | Difference:
        seq = step.cause.seq
        if step.clashes:
            return Difference(seq, step.clashes[0])
        event = self.inputs.get(step.source)
        if event is None:
            return Difference(
                seq, f"its event is not on the log: {where(step.source)}", missing=True
            )
        try:
            return await self.redoer.redo(actor[0], state, event, step)
        except Forgotten as exc:
            return Difference(seq, f"{exc} is not on the log")
        except Unheard as exc:
            return Difference(seq, f"asks {exc}, which it did not ask then")
        except Exception as exc:  # noqa: BLE001 - a stage that fails now is what is looked for
            return Difference(seq, f"fails now: {place(exc)}")

    def _compared(self, step: Step, redone: Redone, verdict: Verdict) -> Difference | None:
        if step.cause.decided_at < self.since_ms:
            return None
        recorded = _by_topic(step.said)
        replayed: dict[str, list[tuple[Event, Record]]] = {}
        for event, record in zip(redone.said, redone.records, strict=True):
            replayed.setdefault(record.topic, []).append((event, record))
        for topic in dict.fromkeys((*recorded, *replayed)):
            pairs = zip_longest(recorded.get(topic, ()), replayed.get(topic, ()))
            for found, said in pairs:
                if found and said and found.value == said[1].value:
                    continue
                difference = first(
                    step.cause.seq,
                    found.event if found else None,
                    said[0] if said else None,
                    show_text=self.show_text,
                )
                if difference is not None:
                    return difference
                if found and said and _schema(found.value) == _schema(said[1].value or b""):
                    return Difference(step.cause.seq, f"{topic}: other bytes of the same record")
                verdict.older += 1
        return None


def _by_topic(said: Sequence[Found]) -> dict[str, list[Found]]:
    found: dict[str, list[Found]] = {}
    for each in said:
        found.setdefault(each.position.topic, []).append(each)
    return found


def _schema(value: bytes) -> bytes:
    return value[: HEADER.size]
