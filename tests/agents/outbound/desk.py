"""A gate that is driven event by event, and judged by the gate's laws at every step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from agents.core.gate import Bubble, Gate
from agents.core.gate_next import Plan
from agents.core.gate_plan import plan, unsent
from agents.core.gate_settle import Posted, settle
from agents.core.gate_waits import timers_of
from agents.core.outbound_given_up import given_up
from agents.ports import Accepted, Letter, NotSent, Receipt, Refused, Unknown, Withheld
from schemas.events import (
    Author,
    BubbleState,
    DeliveryStatus,
    Event,
    OutboundKind,
    OutboundRequested,
    OutboundSettled,
    OutboundUpdated,
    Person,
    Position,
    SettingsChanged,
    StatusReceived,
    TimerFired,
)
from schemas.ids import derived, trace
from streams.local.simulator.limits import Pairs

E = TypeVar("E")
Answer = Receipt | Withheld

ANSWERS: Final[tuple[Answer, ...]] = (
    Refused(code=131056, status=400),
    Refused(code=131026, status=400),
    Refused(code=131047, status=400),
    Refused(code=190, status=401),
    Refused(code=0, status=503),
    Unknown(reason="timeout"),
    NotSent(reason="unreachable"),
    NotSent(reason="no_token"),
    Withheld(reason="number_rate"),
    Withheld(reason="auth"),
    Withheld(reason="account"),
)
"""What may come of a POST that WhatsApp does not take."""

T0 = 1_790_000_000_000
NUMBER = "1122334455667"
MARIA = Person(wa_id="5511987654321")
STATE_BYTES = 200_000
REPORT = OutboundKind.REPORT


def envelope(topic: str, key: str, at: int = T0) -> dict[str, Any]:
    return {
        "event": topic,
        "event_id": derived(topic, key),
        "trace_id": trace(key),
        "tenant_id": "tenant_a",
        "conversation_id": "conv_0f",
        "customer_id": "cust_0f",
        "idempotency_key": key,
        "occurred_at": at,
    }


def bubble(name: str, at: int = T0, **more: Any) -> OutboundRequested:
    fields: dict[str, Any] = {
        "kind": OutboundKind.MESSAGE,
        "bubble_id": name,
        "turn_id": None,
        "epoch": 0,
        "author": Author.AI,
        "phone_number_id": NUMBER,
        "recipient": MARIA,
        "text": f"texto {name}",
    }
    return OutboundRequested(
        **envelope("outbound.message.requested", name, at), **{**fields, **more}
    )


def marker(name: str, epoch: int, at: int = T0) -> OutboundRequested:
    return bubble(
        name,
        at,
        kind=OutboundKind.MARKER,
        author=Author.AUTOMATION,
        epoch=epoch,
        text=None,
        reason="takeover",
    )


def read(name: str, wamid: str | None, epoch: int = 0, at: int = T0) -> OutboundRequested:
    return bubble(
        name, at, kind=OutboundKind.READ, epoch=epoch, text=None, turn_id=name, read_wamid=wamid
    )


def status(
    name: DeliveryStatus, bubble_id: str | None, at: int = T0, **more: Any
) -> StatusReceived:
    fields: dict[str, Any] = {"phone_number_id": NUMBER, "wamid": f"wamid.{bubble_id}"}
    return StatusReceived(
        **envelope("inbox.status.received", f"{bubble_id}:{name}:{at}", at),
        **{**fields, **more},
        status=name,
        bubble_id=bubble_id,
        status_at=at,
    )


def settings(**more: Any) -> SettingsChanged:
    """Settings of the tenant."""
    named = envelope("tenant.settings.changed", "settings") | {
        "version": 7,
        "company": 1,
        "name": "Loja",
    }
    return SettingsChanged(**named | more)


TEMPLATED = settings(window_template="retomar", window_template_language="pt_BR")


def _attempt(posted: Bubble | None) -> tuple[str, int]:
    return (posted.bubble_id, posted.attempt) if posted is not None else ("", 0)


class Desk:
    """One conversation at the gate: what was posted, what was said, what is due."""

    def __init__(self, settings: SettingsChanged | None = None) -> None:
        self.settings = settings
        self.state: Gate | None = None
        self.now = T0
        self.offset = 0
        self.effects: tuple[Event, ...] = ()
        self.said: list[Event] = []
        self.posted: list[Letter] = []
        self.sent_ms: list[int] = []
        self.shown: list[str] = []
        self.pairs = Pairs()
        self.clock_right = True  # by a wrong one nothing can be said of the customer's limit
        self.attempts: Counter[tuple[str, int]] = Counter()
        self.claims: dict[tuple[str, int], Receipt] = {}
        self.accepted: set[str] = set()
        self.settled: Counter[str] = Counter()
        self.reported: set[str] = set()
        self.asked: list[OutboundRequested] = []
        self.done: set[str] = set()
        self.floor = 0

    # What may happen

    def apply(self, event: Event, receipt: Answer | None = None) -> Letter | None:
        """Handle one event; what is posted gets the receipt (accepted when none is given)."""
        self.offset += 1
        source = Position(topic=event.event, partition=3, offset=self.offset)
        before = self.state
        planned = self.plan(event, source)
        known = self.claims.get(_attempt(planned.bubble))
        answer = known or receipt or self._accept(planned.bubble)
        posted_ms = None if known else self.now + 1
        after, effects = settle(planned, answer, posted_ms=posted_ms, now_ms=self.now + 2)
        again = self.plan(event, source)
        for _ in range(2):  # settling a plan does not use it up
            same = settle(again, answer, posted_ms=posted_ms, now_ms=self.now + 2)
            assert msgspec.json.encode(same) == msgspec.json.encode((after, effects))
        self.state, self.effects = after, effects
        self.said += effects
        self.shown += [] if planned.read is None else [planned.read.wamid]
        self._ask(event)
        self._judge_state(before, after)
        tried = known is None and not isinstance(answer, Withheld)
        if tried and planned.letter is not None and planned.bubble is not None:
            self._judge_post(planned.bubble, planned.letter, answer)
        self._judge_effects(source)
        self._judge_ends()
        return planned.letter if tried else None

    def lose(self, event: Event, receipt: Receipt | None = None) -> None:
        """Post what an event lets be posted, and die before that is written; it comes again."""
        source = Position(topic=event.event, partition=3, offset=self.offset + 1)
        before, planned = self.state, self.plan(event, source)
        if planned.bubble is None or planned.letter is None:
            return
        if _attempt(planned.bubble) in self.claims:
            return
        answer = receipt or self._accept(planned.bubble)
        self._ask(event)
        self.state = planned.step.state
        try:
            self._judge_post(planned.bubble, planned.letter, answer)
        finally:
            self.state = before

    def plan(self, event: Event, source: Position) -> Plan:
        """Plan an event as the shell does, which finds what was posted and is in no state."""
        planning = partial(
            plan, self.state, event, source=source, now_ms=self.now, settings=self.settings
        )
        planned = planning()
        found = self._posted(planned.step.effects)
        return planning(posted=found[0]) if found else planned

    def _posted(self, said: Iterable[Event]) -> list[Posted]:
        """Look for the claims of what a step ends as if it was not sent."""
        return [
            Posted(bubble_id=attempt[0], receipt=self.claims[attempt], at_ms=self.now)
            for attempt in unsent(self.state, said)
            if attempt in self.claims
        ]

    def give_up(self, event: Event) -> None:
        """Let an event go to the dead letters after some tries."""
        self.offset += 1
        source = Position(topic=event.event, partition=3, offset=self.offset)
        before = self.state
        giving_up = partial(given_up, before, event, source=source, now_ms=self.now, reason="bug")
        posted = self._posted(giving_up()[1])
        after, effects = giving_up(posted=posted)
        assert giving_up(posted=posted) == (after, effects)
        self.state, self.effects = after, effects
        self.said += effects
        self._ask(event)
        self.done |= {each.bubble_id for each in self.of(OutboundSettled)}
        self._judge_state(before, after)
        self._judge_effects(source)
        self._judge_ends()

    def give_up_timer(self, timer: str) -> None:
        self.now = max(self.now, self.it.timers[timer])
        self.give_up(self.fired(timer))

    def hasten(self, timer: str, receipt: Answer | None = None) -> Letter | None:
        """Let a timer fire before it is due: its turn has come."""
        return self.apply(self.fired(timer), receipt)

    def fire(self, timer: str, receipt: Answer | None = None) -> Letter | None:
        self.now = max(self.now, self.it.timers[timer])
        return self.apply(self.fired(timer), receipt)

    def fired(self, timer: str) -> TimerFired:
        due = self.it.timers[timer]
        key = f"{timer}:{due}"
        return TimerFired(
            **envelope("outbound.timer.fired", key, self.now), timer=timer, due_at=due
        )

    def until_quiet(self) -> None:
        """Let every timer fire, with a WhatsApp that takes everything."""
        for _ in range(1000):
            if not self.it.timers:
                return
            self.fire(min(self.it.timers, key=self.it.timers.__getitem__))
        raise AssertionError("the gate never comes to rest")

    def _ask(self, event: Event) -> None:
        if not isinstance(event, OutboundRequested) or event.kind is OutboundKind.READ:
            return
        if event not in self.asked:
            self.asked.append(event)
            if event.kind is OutboundKind.MARKER:
                self.floor = max(self.floor, event.epoch)

    # What is seen

    @property
    def it(self) -> Gate:
        assert self.state is not None
        return self.state

    def of(self, record: type[E]) -> list[E]:
        return [each for each in self.effects if isinstance(each, record)]

    @property
    def updates(self) -> list[tuple[str, BubbleState]]:
        return [(each.bubble_id, each.state) for each in self.of(OutboundUpdated)]

    @property
    def ends(self) -> list[tuple[str, BubbleState, str]]:
        return [
            (e.bubble_id, e.state, e.reason)
            for e in self.of(OutboundSettled)
            if e.kind is not REPORT
        ]

    @property
    def reports(self) -> list[tuple[str, str]]:
        """What dispatch hears of bubbles that WhatsApp accepted and did not deliver."""
        return [(e.bubble_id, e.reason) for e in self.of(OutboundSettled) if e.kind is REPORT]

    @property
    def every_end(self) -> list[tuple[str, BubbleState, str]]:
        ends = [each for each in self.said if isinstance(each, OutboundSettled)]
        return [(each.bubble_id, each.state, each.reason) for each in ends]

    def bubble(self, name: str) -> Bubble:
        found = self.it.find(name)
        assert found is not None
        return found

    # The laws

    @staticmethod
    def _accept(planned: Bubble | None) -> Accepted:
        return Accepted(wamid=f"wamid.{planned.bubble_id if planned else ''}")

    def _judge_state(self, before: Gate | None, after: Gate) -> None:
        assert after.seq == (before.seq if before else 0) + 1
        assert after.epoch >= (before.epoch if before else 0)
        data = msgspec.json.encode(after)
        assert msgspec.json.decode(data, type=Gate) == after
        assert len(data) < STATE_BYTES
        if after.head is not None:  # what waits is woken by a timer
            assert {"next", *timers_of(after.head)} & after.timers.keys()
        assert (after.typing is not None) == ("typing" in after.timers)
        waiting = {name for each in after.bubbles if not each.settled for name in timers_of(each)}
        assert after.timers.keys() <= {"next", "typing"} | waiting
        for each in after.bubbles:
            assert each.settled == (each.text is None)
            unknown = each.state is BubbleState.UNKNOWN and not each.settled
            assert unknown == (f"unknown_cap:{each.bubble_id}" in after.timers)

    def _judge_post(self, posted: Bubble, letter: Letter, answer: Answer) -> None:
        self.attempts[posted.bubble_id, posted.attempt] += 1
        assert self.attempts[posted.bubble_id, posted.attempt] == 1
        assert posted.bubble_id not in self.done  # accepted or unknown: never again
        assert not isinstance(answer, Withheld)
        self.claims[_attempt(posted)] = answer
        self.accepted |= {posted.bubble_id} if isinstance(answer, Accepted) else set()
        if isinstance(answer, Accepted | Unknown):
            self.done.add(posted.bubble_id)
            self.sent_ms.append(self.now + 1)
            self._judge_pair()
        self.posted.append(letter)
        order = [each.bubble_id for each in self.asked]
        before = order[: order.index(posted.bubble_id)]
        assert not [each for each in self.it.bubbles if each.waits and each.bubble_id in before]
        if posted.author is Author.AI:
            assert posted.epoch >= self.floor
        assert letter.callback_data == (
            f"v1|tenant_a|conv_0f|cust_0f|{posted.bubble_id}|{posted.attempt}"
        )

    def _judge_pair(self) -> None:
        """The simulator's rule, which was written without a look at ours."""
        if not self.clock_right:
            return
        at_ms = self.sent_ms[-1]
        assert self.pairs.free_ms((NUMBER, "maria"), at_ms) == at_ms
        self.pairs.count((NUMBER, "maria"), at_ms)

    def _judge_effects(self, source: Position) -> None:
        for effect in self.effects:
            assert effect.cause is not None
            assert (effect.cause.offset, effect.cause.seq) == (source.offset, self.it.seq)
            assert effect.event_id not in self.settled
            self.settled[effect.event_id] += 1
        for end in self.of(OutboundSettled):
            if end.kind is REPORT:
                assert (end.bubble_id, BubbleState.ACCEPTED, "") in self.every_end
                assert end.author is Author.AI
                assert end.bubble_id not in self.reported
                self.reported.add(end.bubble_id)
                continue
            self.settled[end.bubble_id] += 1
            assert self.settled[end.bubble_id] == 1

    def _judge_ends(self) -> None:
        for bubble_id, state, _ in self.ends:  # what was sent is never said not to be
            assert bubble_id not in self.accepted or state is BubbleState.ACCEPTED
