"""What cannot be sent is a person's while the customer's window is still open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.core.gate import Pair
from agents.core.gate_settle import HELD_LOOK_MS
from agents.core.gate_waits import PAIR_EVERY_MS
from agents.core.gate_window import PERSON_MARGIN_MS
from agents.core.whatsapp_errors import POLICIES, ErrorClass
from agents.ports import NotSent, Refused, Withheld
from schemas.changing import replace
from schemas.events import Author, BubbleState
from tests.agents.outbound.desk import T0, TEMPLATED, Answer, Desk, bubble, settings

FAILED = BubbleState.FAILED
MINUTE_MS, DAY_MS = 60_000, 86_400_000
BUSY = Withheld(reason="number_rate")
PARKED = Withheld(reason="auth")


def refused(code: int, status: int = 400) -> Refused:
    return Refused(code=code, status=status)


def until_it_ends(desk: Desk, answer: Answer) -> None:
    """Let timers fire at their time, with the same answer to every try."""
    for _ in range(10_000):  # two days, a look a minute
        if not desk.it.timers:
            return
        desk.fire(min(desk.it.timers, key=desk.it.timers.__getitem__), answer)
    raise AssertionError("the bubble waits for ever")


@pytest.mark.parametrize(
    ("open_ms", "margin_ms"),
    [
        (DAY_MS - 5 * MINUTE_MS, PERSON_MARGIN_MS),
        (60 * MINUTE_MS, PERSON_MARGIN_MS),
        (20 * MINUTE_MS, 5 * MINUTE_MS),  # asked for late: a quarter of what is left
        (20_000, 5_000),
    ],
)
@pytest.mark.parametrize("answer", [BUSY, PARKED])
@pytest.mark.parametrize("author", list(Author)[1:])
def test_what_gets_no_permit_is_a_persons_a_margin_before_the_window_closes(
    answer: Withheld, open_ms: int, margin_ms: int, author: Author
) -> None:
    desk = Desk()
    desk.apply(bubble("b1", window_expires_at=T0 + open_ms, author=author), answer)

    until_it_ends(desk, answer)

    assert desk.every_end == [("b1", FAILED, "window_closing")]
    assert desk.now == T0 + open_ms - margin_ms


@given(
    st.integers(1_000, 2 * DAY_MS), st.sampled_from((BUSY, PARKED, refused(131056), refused(190)))
)
def test_nothing_that_could_not_be_sent_outlasts_its_window(open_ms: int, answer: Answer) -> None:
    desk = Desk()
    desk.apply(bubble("b1", window_expires_at=T0 + open_ms), answer)

    until_it_ends(desk, answer)

    ((_, state, _),) = desk.every_end
    assert state is FAILED
    assert desk.now < T0 + open_ms


def test_the_last_moment_brings_one_more_try() -> None:
    desk = Desk()
    desk.apply(bubble("b1", window_expires_at=T0 + 20_000), BUSY)
    desk.now = T0 + 15_000

    assert desk.fire("rate:b1") is not None

    assert desk.ends == [("b1", BubbleState.ACCEPTED, "")]


def test_what_can_be_sent_is_sent_up_to_the_windows_end() -> None:
    desk = Desk()
    desk.apply(bubble("b1", window_expires_at=T0 + 20_000), BUSY)
    desk.now = T0 + 19_999  # nobody fired the timer in time

    assert desk.fire("rate:b1") is not None


@pytest.mark.parametrize(
    "receipt",
    [
        refused(131056),
        refused(130429),
        refused(131048),
        refused(190, 401),
        NotSent(reason="no_token"),
        NotSent(reason="connect"),
    ],
)
def test_a_refusal_whose_next_try_comes_too_late_is_a_persons_at_once(
    receipt: Refused | NotSent,
) -> None:
    desk = Desk()

    desk.apply(bubble("b1", window_expires_at=T0 + 1_200), receipt)

    code = receipt.code if isinstance(receipt, Refused) else 0
    assert desk.ends == [("b1", FAILED, "window_closing")]
    assert desk.bubble("b1").error_code == code


def test_the_customers_own_limit_is_not_waited_for_when_it_lasts_too_long() -> None:
    desk = Desk()
    desk.apply(bubble("b0"))
    spent = Pair(began_ms=T0 - 10_000, count=20, paid_ms=T0 + 20 * PAIR_EVERY_MS)
    desk.state = replace(desk.it, pair=spent)

    desk.apply(bubble("b1", window_expires_at=T0 + 150_000))  # a person's at 112.5 s
    at_once = desk.ends
    desk.apply(bubble("b2", window_expires_at=T0 + 170_000))  # at 127.5 s

    assert at_once == [("b1", FAILED, "window_closing")]
    assert desk.it.timers == {"pair:b2": spent.paid_ms}
    assert desk.fire("pair:b2") is not None


@pytest.mark.parametrize("template", ["", "retomar"])
def test_a_part_does_not_wait_for_the_delivery_of_another_until_its_window_closes(
    template: str,
) -> None:
    desk = Desk(settings(delivered_wait_ms=10 * MINUTE_MS, window_template=template))
    for number in (1, 2):
        part = bubble(f"p{number}", turn_id="t1", ordinal=number, window_expires_at=T0 + 20_000)
        desk.apply(part)

    letter = desk.fire("order:p2")

    assert desk.now == T0 + 15_000
    assert letter is not None
    assert letter.template is None


def test_parts_that_templates_carry_wait_for_each_other_too() -> None:
    desk = Desk(TEMPLATED)
    for number in (1, 2):
        part = bubble(f"p{number}", turn_id="t1", ordinal=number, window_expires_at=T0 - MINUTE_MS)
        desk.apply(part)

    assert list(desk.it.timers) == ["order:p2"]


def test_a_newer_message_of_the_customer_lets_it_wait_longer() -> None:
    desk = Desk()
    desk.apply(bubble("b1", window_expires_at=T0 + 20_000), PARKED)
    desk.apply(bubble("b2", window_expires_at=T0 + DAY_MS))

    desk.fire("held:b1", PARKED)

    assert desk.every_end == []
    assert desk.it.timers == {"held:b1": T0 + 15_000 + HELD_LOOK_MS}


@pytest.mark.parametrize(
    ("answer", "timer"),
    [(PARKED, "held:b1"), (refused(0, 503), "retry:b1"), (refused(131047), "retry:b1")],
)
def test_what_a_template_was_to_carry_is_text_again_once_the_customer_has_written(
    answer: Answer, timer: str
) -> None:
    desk = Desk(TEMPLATED)
    open_ms = DAY_MS if answer == refused(131047) else -MINUTE_MS
    desk.apply(bubble("b1", window_expires_at=T0 + open_ms), answer)
    assert desk.bubble("b1").template
    desk.now += MINUTE_MS
    desk.apply(bubble("b2", window_expires_at=desk.now + DAY_MS))

    letter = desk.fire(timer)

    assert letter is not None
    assert (letter.template, letter.text) == (None, "texto b1")


def test_what_whatsapp_wants_as_a_template_stays_one_while_the_customer_says_nothing() -> None:
    desk = Desk(TEMPLATED)
    desk.apply(bubble("b1", window_expires_at=T0 + DAY_MS), refused(131047))
    desk.apply(bubble("b2", window_expires_at=T0 + DAY_MS))

    letter = desk.fire("retry:b1")

    assert letter is not None
    assert letter.template is not None


def test_what_a_template_will_carry_waits_for_it() -> None:
    desk = Desk(TEMPLATED)
    desk.apply(bubble("b1", window_expires_at=T0 + 20_000), BUSY)
    desk.now = T0 + 16_000
    desk.hasten("rate:b1", BUSY)
    assert desk.every_end == []

    desk.now = T0 + 20_000
    letter = desk.hasten("rate:b1")

    assert letter is not None
    assert letter.template is not None


@pytest.mark.parametrize("open_ms", [60 * MINUTE_MS, 20_000, -MINUTE_MS])
@pytest.mark.parametrize("answer", [BUSY, PARKED, refused(190, 401)])
@pytest.mark.parametrize("author", list(Author)[1:])
def test_a_template_that_gets_nowhere_is_a_persons_a_margin_after_the_window(
    answer: Answer, open_ms: int, author: Author
) -> None:
    desk = Desk(TEMPLATED)
    desk.apply(bubble("b1", window_expires_at=T0 + open_ms, author=author), answer)

    until_it_ends(desk, answer)

    due = T0 + max(0, open_ms) + PERSON_MARGIN_MS
    assert desk.every_end == [("b1", FAILED, "template_unsent")]
    assert due - POLICIES[ErrorClass.AUTH].longest_ms * 3 / 2 <= desk.now <= due


@pytest.mark.parametrize("answer", [PARKED, refused(190, 401)])
def test_a_template_that_whatsapp_asked_for_ends_without_a_known_window_too(
    answer: Answer,
) -> None:
    desk = Desk(TEMPLATED)
    desk.apply(bubble("b1", window_expires_at=None), refused(131047))

    until_it_ends(desk, answer)

    assert desk.every_end == [("b1", FAILED, "template_unsent")]
    assert desk.now <= T0 + DAY_MS + PERSON_MARGIN_MS


def test_a_template_is_tried_once_more_at_its_last_moment() -> None:
    desk = Desk(TEMPLATED)
    desk.apply(bubble("b1", window_expires_at=T0), PARKED)
    while desk.now < T0 + PERSON_MARGIN_MS - HELD_LOOK_MS:
        desk.fire("held:b1", PARKED)

    letter = desk.fire("held:b1")

    assert desk.now == T0 + PERSON_MARGIN_MS
    assert letter is not None
    assert letter.template is not None


@pytest.mark.parametrize("waits", [True, False])
def test_after_a_long_time_away_a_template_is_no_longer_sent(waits: bool) -> None:
    desk = Desk(TEMPLATED)
    event = bubble("b1", window_expires_at=T0 + 60 * MINUTE_MS)
    if waits:
        desk.apply(event, PARKED)
    desk.now = T0 + 60 * MINUTE_MS + 2 * PERSON_MARGIN_MS

    letter = desk.hasten("held:b1") if waits else desk.apply(event)

    assert letter is None
    assert desk.ends == [("b1", FAILED, "template_unsent")]


def test_the_rest_of_an_answer_that_a_person_has_is_not_sent() -> None:
    desk = Desk()
    closes = T0 + 20_000
    for number in (1, 2):
        part = bubble(f"p{number}", turn_id="t1", ordinal=number, of=2, window_expires_at=closes)
        desk.apply(part, BUSY)

    until_it_ends(desk, BUSY)

    assert desk.every_end == [
        ("p1", FAILED, "window_closing"),
        ("p2", BubbleState.DROPPED, "part_failed"),
    ]
