"""Dispatch and the gate together: what one says reaches the other late.

``Talk`` and ``Desk`` judge each of their own steps. Here what they say waits in queues, in the
order of each topic, until somebody lets it be heard; the AI and WhatsApp are whoever plays them.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Final

from agents.core.conversation import Trigger, allows
from agents.core.dispatch import decide
from agents.core.dispatch_given_up import behind, dropped, given_up
from agents.ports import Accepted, Withheld
from schemas.events import (
    Author,
    BubbleState,
    ConversationChanged,
    Event,
    HandoffRequested,
    OutboundKind,
    OutboundRequested,
    OutboundSettled,
    Outcome,
    OutcomeKind,
    Phase,
    Position,
    SettingsChanged,
    TurnKind,
)
from tests.agents.dispatch.talk import Fate, Talk
from tests.agents.outbound.desk import Answer, Desk

UNWANTED: Final = ("part_failed",)
"""Why a bubble is dropped when dispatch hears of another part of its answer."""
WITH_AI: Final = (Phase.IDLE, Phase.GATHERING, Phase.THINKING)
TAKEN: Final = Accepted(wamid="later")


class SetAside(Talk):
    """A conversation whose events may be given up: it is parked then, until they come back."""

    def __init__(self, settings: SettingsChanged | None) -> None:
        super().__init__(settings)
        self.aside: deque[Event] = deque()

    def apply(self, event: Event) -> ConversationChanged:
        """Decide an event, or set it aside behind one that was given up."""
        if self.aside:
            self.aside.append(event)
            return self._aside(event, partial(behind, reason="behind_parked"))
        return super().apply(event)

    def give_up(self, event: Event) -> ConversationChanged:
        """Park the conversation because of an event."""
        self.aside.append(event)
        return self._aside(event, partial(given_up, reason="bug"))

    def come_back(self) -> tuple[Event, ConversationChanged]:
        """Decide the event whose turn it is."""
        event = self.aside.popleft()
        return event, self.meet(event, decide)

    def drop(self) -> tuple[Event, ConversationChanged]:
        """Give up for good the event whose turn it is."""
        event = self.aside.popleft()
        return event, self.meet(event, partial(dropped, reason="dropped"))

    def _aside(self, event: Event, fate: Fate) -> ConversationChanged:
        changed = self.meet(event, fate)
        spoken = (each for each in self.of(OutboundRequested) if each.author is Author.HUMAN)
        self.said_aside |= {each.bubble_id for each in spoken}
        parked: list[Outcome] = [o for o in changed.outcomes if o.kind is OutcomeKind.PARKED]
        self.provisional |= {each.wamid for each in parked}
        return changed


class Whole:
    """One conversation at dispatch and at the gate, and what is on its way between them.

    Attributes:
        now: The right time; each of the two may have a clock that is ahead of it.
        silences: Epochs of the markers that silenced the AI.
        bar: Newest epoch for which a takeover was written down before it was said.
        stopped: Why the number sends nothing, if it does not.
    """

    def __init__(self, settings: SettingsChanged) -> None:
        self.talk = SetAside(settings)
        self.desk = Desk(settings)
        self.now = self.talk.now
        self.talk_ahead = self.desk_ahead = 0
        self.to_gate: deque[OutboundRequested] = deque()
        self.settled: deque[OutboundSettled] = deque()
        self.turns: dict[str, HandoffRequested] = {}
        self.asked: dict[str, OutboundRequested] = {}
        self.ends: dict[str, OutboundSettled] = {}
        self.silences: list[int] = []
        self.bar = 0
        self.stopped: Withheld | None = None

    # Clocks

    def clocks(self) -> None:
        """Let both clocks show the time."""
        self.talk.now = self.now + self.talk_ahead
        self.desk.now = self.now + self.desk_ahead

    # Dispatch

    def heard(self) -> None:
        """Put what dispatch has just said on its way.

        Its next decision is later: two timers of one name are not due at one millisecond, even
        if its clock was ahead in between.
        """
        self.now = max(self.now, self.talk.now - self.talk_ahead) + 1
        self.clocks()
        changed = self.talk.effects[-1]
        assert isinstance(changed, ConversationChanged)
        for each in self.talk.effects:
            if isinstance(each, OutboundRequested):
                self._asks(each)
            elif isinstance(each, HandoffRequested) and each.to_agent != "human":
                self.turns[each.turn_id] = each
        if changed.decision == "handed_over":
            calls = self.talk.of(HandoffRequested)
            assert any(c.to_agent == "human" and c.kind is TurnKind.START for c in calls)

    def _asks(self, asked: OutboundRequested) -> None:
        self.to_gate.append(asked)
        if asked.kind is OutboundKind.MESSAGE:
            self.asked.setdefault(asked.bubble_id, asked)
        elif asked.kind is OutboundKind.MARKER and self.talk.it.silenced:
            self.silences.append(asked.epoch)
            self.bar = max(self.bar, self.talk.it.epoch)

    def hear_settled(self) -> None:
        """Let dispatch hear of the next bubble that has ended."""
        event = self.settled.popleft()
        parked = bool(self.talk.aside)
        self.talk.apply(event)
        self.heard()
        if not parked:
            self.judge_left(event)

    def come_back(self) -> None:
        """Let the next event that was set aside be decided."""
        event, _ = self.talk.come_back()
        self.heard()
        if isinstance(event, OutboundSettled):
            self.judge_left(event)

    def write_takeover(self) -> None:
        """Write down what the kill switch would decide, without deciding it."""
        if allows(self.talk.it.phase, Trigger.HAND):
            self.bar = max(self.bar, self.talk.it.epoch + 1)

    def fire(self, timer: str, *, early: bool = False) -> None:
        """Let a timer of dispatch fire: when it is due, or early, corrected by a right clock."""
        if early:
            self.talk.now += 1  # an event of its own, whatever is armed after it
            self.talk.apply(self.talk.fired(timer))
        else:
            self.talk.fire(timer)
        self.heard()

    # The gate

    def gate(self, event: Event, answer: Answer | None = None) -> None:
        """Let the gate handle an event; what it posts gets the answer."""
        self.desk.apply(event, self._answer(event, answer))
        self.told()

    def lose(self, event: Event, answer: Answer | None = None) -> None:
        """Let the gate post and die before it has written that down; the event comes again."""
        self.now = max(self.now, self.desk.now - self.desk_ahead)
        self.clocks()
        answer = self._answer(event, answer)
        if not isinstance(answer, Withheld):
            self.desk.lose(event, answer)

    def _answer(self, event: Event, answer: Answer | None) -> Answer:
        source = Position(topic=event.event, partition=3, offset=self.desk.offset + 1)
        planned = self.desk.plan(event, source)
        answer = self.stopped or answer or TAKEN
        if planned.bubble is not None:
            bubble = planned.bubble
            if bubble.author is Author.AI and bubble.epoch < self.bar:
                answer = Withheld(reason="taken_over")
            elif isinstance(answer, Accepted):
                answer = Accepted(wamid=f"wamid.{bubble.bubble_id}")
        return answer

    def told(self) -> None:
        """Put what the gate has just said on its way."""
        self.now = max(self.now, self.desk.now - self.desk_ahead)
        self.clocks()
        for each in self.desk.of(OutboundSettled):
            self.settled.append(each)
            if each.kind is OutboundKind.MESSAGE:
                assert each.bubble_id not in self.ends
                self.ends[each.bubble_id] = each

    def fire_gate(self, timer: str, answer: Answer | None = None, *, early: bool = False) -> None:
        """Let a timer of the gate fire: when it is due, or early."""
        if early:
            self.desk.now += 1
        else:
            self.desk.now = max(self.desk.now, self.desk.it.timers[timer])
        self.gate(self.desk.fired(timer), answer)

    # What must be true

    def judge_left(self, event: OutboundSettled) -> None:
        """Nobody is left without the answer that they were to have: a person has them then."""
        ended = (BubbleState.FAILED, BubbleState.UNKNOWN, BubbleState.DROPPED)
        if event.author is not Author.AI or event.state not in ended or event.reason in UNWANTED:
            return
        if not any(epoch > event.epoch for epoch in self.silences):
            assert self.talk.it.phase not in WITH_AI, (event.state, event.reason)

    def rest(self) -> None:
        """Let everything come to its end, with a WhatsApp that takes all, and judge it."""
        self.stopped, self.talk_ahead, self.desk_ahead = None, 0, 0
        self.clocks()
        for _ in range(3000):
            if not self._goes_on():
                break
        else:
            raise AssertionError("it never comes to rest")
        state = self.talk.it
        assert self.talk.provisional == set()
        assert state.timers == {}
        assert state.turn is None
        assert state.pending == ()
        assert state.marker_id is None
        assert state.awaiting == ()
        assert self.ends.keys() == self.asked.keys()
        for bubble_id, end in self.ends.items():
            if end.state is BubbleState.DROPPED:
                self._dropped(end, self.asked[bubble_id])

    def _goes_on(self) -> bool:
        if self.to_gate:
            self.gate(self.to_gate.popleft())
        elif self.settled:
            self.hear_settled()
        elif self.talk.aside:
            self.come_back()
        else:
            mine, theirs = self.talk.it.timers, self.desk.it.timers if self.desk.state else {}
            due = [(at, 0, name) for name, at in mine.items()]
            due += [(at, 1, name) for name, at in theirs.items()]
            if not due:
                return False
            _, whose, name = min(due)
            if whose:
                self.fire_gate(name)
            else:
                self.fire(name)
        return True

    def _dropped(self, end: OutboundSettled, asked: OutboundRequested) -> None:
        """What the AI said is dropped after somebody silenced it, what others said never."""
        assert asked.author is Author.AI
        if end.reason not in ("part_failed", "ai_disabled", "taken_over"):
            assert any(epoch > asked.epoch for epoch in self.silences), end.reason
