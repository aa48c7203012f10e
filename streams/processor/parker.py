"""Events that are not decided: their dead letters, what the stage says of them, and the flag.

An event that fails for good is closed alone where its stage can do that: the turn, call or
bubble that waits for it gets its end, and the conversation goes on. It parks its conversation
where the stage wants that (``Stage.parks``), or where closing it fails: the state cannot be
read, or would be too large. Bad records belong to no conversation's order: they never park.

Nothing in here may fail but by what Kafka, the registry or the archive of ids does: parking is
the last resort.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import structlog
from msgspec.structs import replace

from agents.core.person_call import call_person
from schemas.errors import Rejected, Unavailable
from schemas.events import Event, Position
from streams.deadletters.dlq import Place, Verdict, dead_letter
from streams.kafka.publish import Record, record_of
from streams.logs import place
from streams.processor.deciding import Decider, LaneDelivery, Poison, Step, original
from streams.processor.hearing import GIVEN_UP, listening
from streams.state.parking import Parking, Returned
from streams.state.records import Kept, next_due

log = structlog.get_logger(__name__)

LETTER_BYTES: Final = 64 << 10
"""A larger dead letter of its own is not kept in the outbox. One with a number is, whatever its
size: published early and numbered again after a crash, it would be there under two numbers."""

BEHIND: Final = "behind_parked"
DROPPED: Final = "dropped"

PARKED: Final = "parked"
SET_BEHIND: Final = "behind"
GIVEN_AWAY: Final = "dropped"
"""Attributes of ``Stage``: what it says of an event that it does not decide."""


class Unclosable(Exception):
    """The stage could not say what becomes of the event."""


class Parker:
    """Sets the events of one stage aside.

    Attributes:
        epoch: Returns our epoch as the owner of a partition.
    """

    def __init__(self, decider: Decider, group: str, epoch: Callable[[int], int]) -> None:
        self.decider = decider
        self.stage = decider.stage
        self.group = group
        self.epoch = epoch

    async def give_up(
        self, message: Any, kept: Kept | None, verdict: Verdict, *, poison: bool
    ) -> Step:
        """Give an event up that failed for good."""
        parking = kept.head.parked if kept is not None else None
        returned = Returned.of(message.headers or ())
        if parking is not None and returned is not None:
            again = parking.failed_again(verdict.reason)
            return self._letter(message, self._same(kept, again), verdict, returned.number)
        if poison:
            return self._letter(message, self._same(kept, parking), verdict)
        if parking is not None:  # it could not even be set aside with a word
            step = self._same(kept, parking.behind())
            return self._letter(message, step, verdict, parking.last + 1)
        try:
            closed = await self._said(PARKED, message, kept, verdict.reason)
        except Unclosable:
            begun = self._begun(message, verdict)
            said = await self._strangers(message, verdict.reason, begun.parking_id)
            return self._letter(message, self._same(kept, begun, said), verdict, begun.last)
        foreign = closed is None and self.stage.parked is not None
        step = closed or self._same(kept, None)
        if foreign or not self.stage.parks:
            return self._letter(message, step, verdict)
        begun = self._begun(message, verdict)
        return self._letter(message, _parked(step, begun), verdict, begun.last)

    async def set_behind(self, message: Any, kept: Kept) -> Step:
        """Set an event aside that came behind a parked one.

        Raises:
            Poison: The record is no event of this conversation: it is given up alone.
            Unavailable: Its schema is new, and the registry does not answer; or the stage needs
                something that is down.
        """
        assert kept.head.parked is not None  # noqa: S101 - the arm says so
        parking = kept.head.parked.behind()
        self._check(await self.decider.event(message), kept)
        try:
            said = await self._said(SET_BEHIND, message, kept, BEHIND)
        except Unclosable:
            outbox = await self._strangers(message, BEHIND, parking.parking_id)
            said = self._same(kept, parking, outbox)
        verdict = Verdict(
            reason=BEHIND,
            group=self.group,
            stage=self.stage.name,
            attempts=0,
            first_failed_at_ms=self.decider.clock.now_ms(),
        )
        step = _parked(said or self._same(kept, parking), parking)
        return self._letter(message, step, verdict, parking.last)

    def _check(self, event: Event, kept: Kept) -> None:
        """Refuse an event that belongs to another company's conversation, if that can be seen."""
        try:
            state = self.decider.states.of(None, kept)
        except ValueError:  # msgspec's errors are ValueErrors
            return
        whose = (event.tenant_id, event.conversation_id)
        if state is not None and (state.tenant_id, state.conversation_id) != whose:
            raise Poison("wrong_conversation")

    async def drop(self, message: Any, kept: Kept) -> Step:
        """Let an event that an operator gave up have had its turn."""
        assert kept.head.parked is not None  # noqa: S101 - the arm says so
        parking = kept.head.parked.advanced()
        try:
            hook = GIVEN_AWAY if self.stage.dropped else PARKED
            said = await self._said(hook, message, kept, DROPPED)
        except Unclosable:
            said = None
        return _parked(said or self._same(kept, parking), parking)

    async def decide(self, message: Any, kept: Kept) -> Step:
        """Decide an event that came back in its turn; errors as those of ``Decider.decide``."""
        assert kept.head.parked is not None  # noqa: S101 - the arm says so
        return _parked(await self.decider.decide(message, kept), kept.head.parked.advanced())

    async def _said(self, hook: str, message: Any, kept: Kept | None, reason: str) -> Step | None:
        """Ask the stage; None when there is nothing to say.

        Raises:
            Unclosable: It failed, or its state cannot be read or would be too large.
        """
        if getattr(self.stage, hook) is None:
            return None
        try:
            event = await self.decider.event(message)
            asked = await self._asked(
                hook, self.decider.states.of(message.key, kept), event, message, reason
            )
        except Unavailable:
            raise
        except Rejected:  # no event to speak of
            return None
        except Exception as exc:
            log.error("parked.unclosable", stage=self.stage.name, error=place(exc))  # noqa: TRY400
            raise Unclosable from exc
        try:
            return self.decider.step(event, *asked)
        except Rejected as exc:
            log.error("parked.unclosable", stage=self.stage.name, error=exc.reason)  # noqa: TRY400
            raise Unclosable from exc

    async def _strangers(self, message: Any, reason: str, parking_id: str) -> tuple[Record, ...]:
        """Say of an event what can be said without the state; its step has the number 0."""
        hook = SET_BEHIND if reason == BEHIND else PARKED
        if getattr(self.stage, hook) is None:
            return ()
        try:
            event = await self.decider.event(message)
            if not self.stage.parks:
                return (self._called(event, parking_id),)
            nobody = self.stage.blank(event)
            delivery, _, events = await self._asked(hook, nobody, event, message, reason)
            return self.decider.step(event, delivery, nobody, events).outbox
        except Unavailable:
            raise
        except Exception as exc:  # noqa: BLE001 - the dead letter alone must do then
            log.error("parked.failed", stage=self.stage.name, error=place(exc))  # noqa: TRY400
            return ()

    async def _asked(
        self, hook: str, state: Any, event: Event, message: Any, reason: str
    ) -> tuple[LaneDelivery, Any, tuple[Event, ...]]:
        """Ask the stage what becomes of the event, and note that it was asked that."""
        delivery = self.decider.delivery(message)
        with listening(delivery.hearing) as hearing:
            hearing.told(GIVEN_UP, [hook, reason])
            after, events = await getattr(self.stage, hook)(state, event, delivery, reason)
        return delivery, after, events

    def _called(self, event: Event, parking_id: str) -> Record:
        """Return the request that gives the conversation to a person."""
        now_ms = self.decider.clock.now_ms()
        call = call_person(event, stage=self.stage.name, parking_id=parking_id, now_ms=now_ms)
        return record_of(call, self.decider.codec)

    def _begun(self, message: Any, verdict: Verdict) -> Parking:
        source = Position(topic=message.topic, partition=message.partition, offset=message.offset)
        return Parking.begun(source, verdict.reason, self.decider.clock.now_ms())

    def _same(
        self, kept: Kept | None, parking: Parking | None, outbox: tuple[Record, ...] = ()
    ) -> Step:
        """Return a step that leaves the state as it was."""
        state = kept.state if kept is not None else b""
        return Step(state, None if parking else self._due(kept), outbox, parking)

    def _due(self, kept: Kept | None) -> int | None:
        """Return when the next timer is due; the head of a parked conversation does not say."""
        try:
            state = self.decider.states.of(None, kept)
        except ValueError:  # msgspec's errors are ValueErrors
            return None
        return next_due(state.timers) if state is not None else None

    def _letter(
        self, message: Any, step: Step, verdict: Verdict, number: int | None = None
    ) -> Step:
        """Add the dead letter to a step; it goes out first."""
        if number is None or step.parked is None:
            letter = dead_letter(original(message), verdict)
            if len(letter.value or b"") > LETTER_BYTES:
                return replace(step, loose=letter)
        else:
            at = Place(step.parked.parking_id, number, self.epoch(message.partition))
            letter = dead_letter(original(message), verdict, at)
        return replace(step, outbox=(letter, *step.outbox))


def _parked(step: Step, parking: Parking | None) -> Step:
    """Return the step with a flag; while there is one, no timer fires."""
    return step if parking is None else replace(step, parked=parking, due_ms=None)
