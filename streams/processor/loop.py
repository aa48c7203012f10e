"""The one agent loop: state and effects are right under redelivery, crashes and rebalances.

For an event e of a conversation: read S; decide (S', effects); write S' with the effects and e's
offset to the changelog and await the broker; publish the effects and await the broker; settle e.
A redelivered e that S covers is not decided again: if the effects kept in S are e's, they are
published again. So what is published depends neither on how often, nor in which order between
topics, nor with which model answer an event is decided the second time.

Four things can go wrong with an event: it can never succeed (``Rejected``: given up at once), a
dependency is down (``Unavailable``: it waits, no attempt is counted), this worker may have lost
the partition (``Fenced``: left to its new owner), or there is a bug (some attempts, then given up).
What is given up may park its conversation: ``streams.state.parking``, ``streams.processor.parker``.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import structlog
from faust.types import TP

from schemas.errors import Rejected, Unavailable
from streams.deadletters.dlq import Verdict, dead_letter
from streams.deadletters.fuse import Fuse
from streams.kafka.partitioner import home
from streams.kafka.publish import Publisher, Record
from streams.logs import about, place
from streams.metrics import RETRIED, SKIPPED
from streams.processor.counting import Counting
from streams.processor.deciding import Decider, Poison, Step, original
from streams.processor.lanes import Lanes
from streams.processor.parker import Parker
from streams.processor.resting import Resting
from streams.state.controls import CONTROL
from streams.state.parking import Arm, Returned, arm_at
from streams.state.records import Head, Kept
from streams.state.table import AckedTable
from streams.watch.health import Dependencies
from streams.watch.pulse import Fenced, Pulse

log = structlog.get_logger(__name__)

TRIES: Final = 5
BACKOFF_S: Final = 0.2
LONGEST_BACKOFF_S: Final = 5.0
WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 30.0
LONGEST_ASKED_S: Final = 300.0
KEY_BYTES: Final = 1024
"""Conversations have keys of 37 bytes; Kafka refuses a table value whose key is too large."""


class Trial(msgspec.Struct, gc=False):
    """How one event fared so far."""

    attempts: int = 0
    waits: int = 0
    first_failed_at_ms: int = 0
    verdict: Verdict | None = None
    poison: bool = False
    counts: bool = False


class Loop:
    """Applies the events of one stage to its table by the rule above; runs in ``Lanes``.

    Attributes:
        lanes: Where it runs; set by ``streams.engine``.
        decider: What it asks; set by ``streams.engine``.
        parker: Sets aside what is not decided; set by ``streams.engine``.
        resting: Has the values that left memory; set by ``streams.engine``.
        fuse: Counts the events given up in a row.
    """

    lanes: Lanes
    decider: Decider
    parker: Parker
    resting: Resting

    def __init__(
        self,
        app: Any,
        table: AckedTable,
        publisher: Publisher,
        *,
        pulse: Pulse,
        dependencies: Dependencies,
    ) -> None:
        self.app = app
        self.table = table
        self.publisher = publisher
        self.pulse = pulse
        self.dependencies = dependencies
        self.fuse = Fuse(table, lambda at, count: table.burn(at, count, self.publisher))
        self.counting = Counting(table.name, app.conf.id)

    @property
    def stage_name(self) -> str:
        """Name of the stage, for logs and metrics."""
        return self.lanes.stage.name

    def done_before(self, message: Any) -> bool:
        """Tell, without a task, that a redelivered message needs nothing more."""
        key = message.key
        if key is None or not self.table.reached(message.tp, message.offset):
            return False
        raw = self.table.raw(key)
        if raw is None or self.table.partition_of(key) != message.partition:
            return False
        head = Head.of(raw)
        done = head.covers(message.topic, message.offset) and not (
            head.sends and head.belongs(message.topic, message.offset)
        )
        if done:
            SKIPPED.labels(self.stage_name).inc()
        return done

    async def handle(self, message: Any) -> None:
        """Process one message to its end, or leave it unsettled for its next owner."""
        began, trial = time.monotonic(), Trial()
        self.counting.began(message.topic)
        about(message)
        try:
            while self.lanes.current(message) and not await self._attempt(message, trial):
                pass
        finally:
            self.dependencies.up(message)
            self.counting.ended(message.topic, time.monotonic() - began)

    async def _attempt(self, message: Any, trial: Trial) -> bool:
        """Try once; True when the loop is done with the message."""
        try:
            await self._apply(message, trial)
        except Fenced:
            return not await self.lanes.pause(BACKOFF_S)
        except Unavailable as exc:
            return not await self._wait(message, trial, exc)
        except Rejected as exc:
            if trial.verdict is not None:  # the dead letter itself was refused: nothing may be lost
                log.error("dead_letter.refused", reason=exc.reason)  # noqa: TRY400
                return not await self.lanes.pause(LONGEST_BACKOFF_S)
            self._convict(message, trial, exc)
            return False
        except Exception as exc:  # noqa: BLE001 - the last resort: an escaping bug would lose the event
            return not await self._stumble(message, trial, exc)
        return True

    async def _wait(self, message: Any, trial: Trial, exc: Unavailable) -> bool:
        """Wait for a dependency, as long as it takes; False when the lanes close."""
        self.dependencies.up(message)
        self.dependencies.down(exc.service, message)
        longest = min(WAIT_S * 2.0**trial.waits, LONGEST_WAIT_S)
        seconds = random.uniform(longest / 2, longest)  # noqa: S311 - spreads retries, no secret
        if exc.retry_after_s is not None:
            seconds = max(seconds, min(exc.retry_after_s, LONGEST_ASKED_S))
        trial.waits = min(trial.waits + 1, 16)
        RETRIED.labels(self.stage_name, exc.service).inc()
        log.warning("event.waiting", service=exc.service, seconds=round(seconds, 2), error=str(exc))
        return await self.lanes.pause(seconds)

    async def _stumble(self, message: Any, trial: Trial, exc: Exception) -> bool:
        """Count an unexpected failure; False when the lanes close."""
        trial.attempts += 1
        trial.first_failed_at_ms = trial.first_failed_at_ms or self.decider.clock.now_ms()
        log.warning("event.failed", attempt=trial.attempts, error=place(exc))
        RETRIED.labels(self.stage_name, "bug").inc()
        if trial.attempts >= TRIES and trial.verdict is None:
            self._convict(message, trial, Rejected("bug", place(exc)))
            return True
        return await self.lanes.pause(min(BACKOFF_S * 2.0**trial.attempts, LONGEST_BACKOFF_S))

    def _convict(self, message: Any, trial: Trial, exc: Rejected) -> None:
        """Give the event up; the next attempt parks it.

        Bad records do not count for the fuse, nor what came back: it was given up before.
        """
        trial.verdict = Verdict(
            reason=exc.reason,
            detail=exc.detail,
            group=self.app.conf.id,
            stage=self.stage_name,
            attempts=max(trial.attempts, 1),
            first_failed_at_ms=trial.first_failed_at_ms or self.decider.clock.now_ms(),
        )
        trial.poison = isinstance(exc, Poison)
        log.warning("event.given_up", reason=exc.reason)
        trial.counts = not trial.poison and Returned.of(message.headers or ()) is None
        if trial.counts:
            self.fuse.burn(message.partition, exc.reason)

    async def _apply(self, message: Any, trial: Trial) -> None:
        if (lost := self._misplaced(message)) is not None:
            await self._bury(message, lost, trial)
            return
        raw, states = await self.resting.value(message.key, message.partition), self.decider.states
        kept = None if raw is None else states.kept(message.key, raw)
        if kept is not None and kept.head.covers(message.topic, message.offset):
            if kept.head.belongs(message.topic, message.offset):
                await self._publish(message, kept.outbox())
            self.app.consumer.settle(message)
            return
        parking = kept.head.parked if kept else None
        arm = arm_at(self.stage_name, parking, message.headers or ())
        if arm is Arm.STALE:
            self._settle(message, trial, arm)
            return
        step = await self._step(message, kept, trial, arm)
        if step.loose is not None:
            await self._publish(message, (step.loose,))
        head = None if kept is None else kept.head
        epoch, now_ms = self.table.epoch(message.partition), self.decider.clock.now_ms()
        early = self.table.early(message.key)
        entry = step.entry(head, message, epoch=epoch, at_ms=now_ms, early=early)
        stored, state, size, outbox = entry.kept(), step.after, len(step.state), step.outbox
        del entry, head, step  # what waits for the broker is no longer in the processor's cache
        await self._store(message, kept, stored)
        states.remember(message.key, stored, state)
        self.counting.stored(size)
        del kept, raw, state, stored
        await self._publish(message, outbox)
        if self.fuse.burnt and trial.verdict is None and arm in (Arm.DECIDE, Arm.RETURN):
            await self.fuse.mend()
        self._settle(message, trial, arm)

    async def _step(self, message: Any, kept: Kept | None, trial: Trial, arm: Arm) -> Step:
        """Say what the message makes of its conversation."""
        if trial.verdict is not None:
            if trial.counts:
                await self.pulse.fence(self.app, message.generation_id)
                await self.fuse.keep(message.partition)
            return await self.parker.give_up(message, kept, trial.verdict, poison=trial.poison)
        if kept is None or arm is Arm.DECIDE:
            return await self.decider.decide(message, kept)
        if arm is Arm.BEHIND:
            return await self.parker.set_behind(message, kept)
        if arm is Arm.DROP:
            return await self.parker.drop(message, kept)
        return await self.parker.decide(message, kept)

    def _settle(self, message: Any, trial: Trial, arm: Arm) -> None:
        self.app.consumer.settle(message)
        given_up = trial.verdict.reason if trial.verdict is not None else None
        self.counting.settled(message.topic, arm, given_up)

    def _misplaced(self, message: Any) -> str | None:
        """Say why no state can be kept for a message, or None."""
        if message.key is None:
            return "null_key"
        if message.key.startswith(CONTROL):
            return "reserved_key"
        if len(message.key) > KEY_BYTES:
            return "large_key"
        known = self.table.partition_of(message.key)
        if known is None:
            known = home(message.key, self.app.partitions)
        return None if known == message.partition else "misplaced_key"

    async def _bury(self, message: Any, reason: str, trial: Trial) -> None:
        """Dead-letter a message that has no conversation here."""
        now_ms = self.decider.clock.now_ms()
        verdict = Verdict(
            reason=reason,
            group=self.app.conf.id,
            stage=self.stage_name,
            first_failed_at_ms=now_ms,
        )
        trial.verdict = verdict
        await self._publish(message, (dead_letter(original(message), verdict),))
        self._settle(message, trial, Arm.DECIDE)

    async def _store(self, message: Any, before: Kept | None, after: Kept) -> None:
        """Write a value, after the outbox that it overwrites was surely published.

        After a crash an event of another topic may come before the one whose outbox is kept.
        """
        if before is not None and before.head.sends:
            topic, offset = before.head.source
            if not self.app.consumer.finished(TP(topic, message.partition), offset):
                await self._publish(message, before.outbox())
        await self.pulse.fence(self.app, message.generation_id)
        await self.table.put(message.key, after, message.partition, self.publisher)

    async def _publish(self, message: Any, records: Iterable[Record]) -> None:
        await self.pulse.fence(self.app, message.generation_id)
        await self.publisher.publish(records)
