"""Whatever happens in whatever order: the laws of the gate hold. ``Desk`` judges each step."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from agents.ports import Accepted, Refused, Unknown, Withheld
from schemas.events import Author, BubbleState, DeliveryStatus, Event
from tests.agents.laws import machine
from tests.agents.outbound.desk import (
    ANSWERS,
    TEMPLATED,
    Answer,
    Desk,
    bubble,
    marker,
    read,
    status,
)

RECEIPTS: st.SearchStrategy[Answer | None] = st.sampled_from(
    (None, None, Accepted(wamid="wamid.same"), *ANSWERS)
)
STATUSES = tuple(DeliveryStatus)


class GateMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(TEMPLATED)
        self.epoch = 0
        self.count = 0

    @rule(
        author=st.sampled_from((Author.AI, Author.AI, Author.HUMAN, Author.AUTOMATION)),
        turn=st.sampled_from((None, "turn_a", "turn_b")),
        behind=st.sampled_from((0, 0, 0, 1)),
        length=st.sampled_from((1, 5, 4000, 4097, 0)),
        window=st.none() | st.integers(-10_000, 3_600_000),
        ordinal=st.sampled_from((1, 1, 2, 3)),
        receipt=RECEIPTS,
    )
    def a_bubble_is_asked_for(  # noqa: PLR0913 - drawn by name
        self,
        *,
        author: Author,
        turn: str | None,
        behind: int,
        length: int,
        window: int | None,
        ordinal: int,
        receipt: Answer | None,
    ) -> None:
        self.count += 1
        request = bubble(
            f"b{self.count}",
            self.desk.now,
            author=author,
            turn_id=turn,
            epoch=max(0, self.epoch - behind),
            text="x" * length,
            ordinal=ordinal,
            window_expires_at=None if window is None else self.desk.now + window,
        )
        self.desk.apply(request, receipt)

    @rule(count=st.sampled_from((3, 25)))
    def many_are_asked_for(self, count: int) -> None:
        for _ in range(count):
            self.a_bubble_is_asked_for(
                author=Author.HUMAN,
                turn=None,
                behind=0,
                length=3000,
                window=None,
                ordinal=1,
                receipt=Refused(code=190, status=401),
            )

    @rule(receipt=RECEIPTS)
    def a_person_takes_over(self, receipt: Answer | None) -> None:
        self.count += 1
        self.epoch += 1
        self.desk.apply(marker(f"m{self.count}", self.epoch, self.desk.now), receipt)

    @precondition(lambda self: self.desk.state and self.desk.state.timers)
    @rule(data=st.data(), receipt=RECEIPTS)
    def a_timer_fires(self, data: st.DataObject, receipt: Answer | None) -> None:
        self.desk.fire(data.draw(st.sampled_from(sorted(self.desk.it.timers))), receipt)

    @rule(behind=st.sampled_from((0, 0, 1)), receipt=RECEIPTS)
    def a_turn_starts(self, behind: int, receipt: Answer | None) -> None:
        self.count += 1
        epoch = max(0, self.epoch - behind)
        shown = len(self.desk.shown)
        event = read(f"r{self.count}", f"wamid.{self.count}", epoch, self.desk.now)
        self.desk.apply(event, receipt)
        assert len(self.desk.shown) - shown == (epoch >= self.desk.floor)

    @precondition(lambda self: self.desk.state and self.desk.state.timers)
    @rule(data=st.data(), receipt=RECEIPTS)
    def a_permit_comes_early(self, data: st.DataObject, receipt: Answer | None) -> None:
        names = [name for name in self.desk.it.timers if name.startswith(("rate:", "held:"))]
        if names:
            self.desk.hasten(data.draw(st.sampled_from(sorted(names))), receipt)

    @precondition(lambda self: self.desk.asked)
    @rule(data=st.data(), name=st.sampled_from(STATUSES), receipt=RECEIPTS)
    def a_status_comes(
        self, data: st.DataObject, name: DeliveryStatus, receipt: Answer | None
    ) -> None:
        asked = data.draw(st.sampled_from(self.desk.asked))
        known = data.draw(st.booleans())
        event = status(name, asked.bubble_id if known else None, self.desk.now)
        self.desk.apply(event, receipt)

    @precondition(lambda self: self.desk.asked)
    @rule(data=st.data(), receipt=RECEIPTS)
    def a_request_is_delivered_again(self, data: st.DataObject, receipt: Answer | None) -> None:
        event: Event = data.draw(st.sampled_from(self.desk.asked))
        self.desk.apply(event, receipt)

    @rule(
        author=st.sampled_from((Author.AI, Author.HUMAN)),
        takeover=st.booleans(),
        dies=st.booleans(),
    )
    def a_request_is_given_up(self, author: Author, takeover: bool, dies: bool) -> None:
        self.count += 1
        self.epoch += takeover
        name = f"g{self.count}"
        event = (
            marker(name, self.epoch, self.desk.now)
            if takeover
            else bubble(name, self.desk.now, author=author, turn_id="turn_a", epoch=self.epoch)
        )
        if dies:
            self.desk.lose(event)
        self.desk.give_up(event)

    @precondition(lambda self: self.desk.state and self.desk.state.timers)
    @rule(data=st.data(), dies=st.booleans())
    def a_timer_is_given_up(self, data: st.DataObject, dies: bool) -> None:
        timer = data.draw(st.sampled_from(sorted(self.desk.it.timers)))
        if dies:
            self.dies_at(timer, None)
        self.desk.give_up_timer(timer)

    @precondition(lambda self: self.desk.state and self.desk.state.timers)
    @rule(data=st.data(), receipt=RECEIPTS)
    def its_worker_dies(self, data: st.DataObject, receipt: Answer | None) -> None:
        """It has posted, nobody has written that down, and something else may come first."""
        self.dies_at(data.draw(st.sampled_from(sorted(self.desk.it.timers))), receipt)

    def dies_at(self, timer: str, receipt: Answer | None) -> None:
        self.desk.now = max(self.desk.now, self.desk.it.timers[timer])
        if not isinstance(receipt, Withheld):
            self.desk.lose(self.desk.fired(timer), receipt)

    @rule(seconds=st.sampled_from((0, 1, 60, 90_000)))
    def time_passes(self, seconds: int) -> None:
        self.desk.now += seconds * 1000

    def teardown(self) -> None:
        if self.desk.state is None:
            return
        self.desk.until_quiet()

        assert all(self.desk.settled[each.bubble_id] == 1 for each in self.desk.asked)
        assert all(each.settled for each in self.desk.it.bubbles)


TestGate = GateMachine.TestCase
TestGate.settings = machine(60)


@given(
    st.lists(st.tuples(st.sampled_from(STATUSES), st.integers(1, 5)), min_size=1, max_size=3),
    st.sampled_from((None, Unknown(reason="timeout"))),
)
@settings(deadline=None, max_examples=60)
def test_the_order_of_statuses_does_not_matter(
    reports: list[tuple[DeliveryStatus, int]], receipt: Answer | None
) -> None:
    shown = set()
    for order in permutations(reports):
        desk = Desk()
        desk.apply(bubble("b1"), receipt)
        for name, second in order:
            desk.apply(status(name, "b1", desk.now + second))
        found = desk.bubble("b1")
        shown.add((found.shown, tuple(found.statuses.items())))

    assert len(shown) == 1
    assert shown.pop()[0] is not BubbleState.UNKNOWN
