from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.core.gate import Gate, Pair
from agents.core.gate_settle import HELD_LOOK_MS, RATE_LOOK_MS
from agents.core.gate_waits import (
    PAIR_BURST,
    PAIR_EVERY_MS,
    PAIR_MARGIN_MS,
    SKEW_MS,
    pair_doubted,
    pair_due,
    pair_spent,
)
from agents.ports import Letter, Refused, Template, Unknown, Withheld
from schemas.changing import replace
from schemas.events import (
    Author,
    BubbleState,
    Channel,
    DeliveryStatus,
    OutboundRequested,
    OutboundUpdated,
)
from streams.local.simulator.limits import Pairs
from tests.agents.outbound.desk import NUMBER, T0, TEMPLATED, Desk, bubble, marker, settings, status

ACCEPTED, FAILED, PLANNED = BubbleState.ACCEPTED, BubbleState.FAILED, BubbleState.PLANNED
CLOSED = Refused(code=131047, status=400)
PAIR = Refused(code=131056, status=400)
AUTH = Refused(code=190, status=401)
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WAIT_MS = settings().delivered_wait_ms


def part(number: int, **more: Any) -> OutboundRequested:
    fields: dict[str, Any] = {"turn_id": "t1", "ordinal": number, "of": 3}
    return bubble(f"p{number}", **fields | more)


def texts(desk: Desk) -> list[str]:
    return [letter.text for letter in desk.posted]


# The order of an answer's parts


def test_a_part_waits_until_the_part_before_it_is_delivered() -> None:
    desk = Desk()
    desk.apply(part(1))
    assert desk.apply(part(2)) is None
    assert desk.apply(part(3)) is None
    assert desk.it.timers == {"order:p2": T0 + 1 + WAIT_MS}

    assert desk.apply(status(DeliveryStatus.SENT, "p1")) is None
    second = desk.apply(status(DeliveryStatus.DELIVERED, "p1"))

    assert second is not None
    assert texts(desk) == ["texto p1", "texto p2"]
    assert desk.it.timers == {"order:p3": T0 + 1 + WAIT_MS}


@pytest.mark.parametrize("report", ["read", "played"])
def test_delivered_is_skipped_when_the_chat_is_open(report: str) -> None:
    desk = Desk()
    desk.apply(part(1))
    desk.apply(part(2))

    assert desk.apply(status(DeliveryStatus(report), "p1")) is not None


def test_a_phone_that_is_off_is_not_waited_for_longer_than_the_cap() -> None:
    desk = Desk()
    for number in (1, 2, 3):
        desk.apply(part(number))

    assert desk.fire("order:p2") is not None
    assert desk.now == T0 + 1 + WAIT_MS
    assert desk.fire("order:p3") is not None
    assert desk.now == T0 + 2 + 2 * WAIT_MS
    assert desk.it.timers == {}


def test_a_clock_that_is_behind_does_not_make_a_part_wait_twice() -> None:
    desk = Desk()
    desk.apply(part(1))
    desk.apply(part(2))
    due = desk.fired("order:p2")

    desk.now = T0 - 60_000  # the timer went off at another worker

    assert desk.apply(due) is not None


def test_a_clock_that_was_ahead_does_not_make_the_next_part_wait_for_it() -> None:
    desk = Desk()
    desk.now = T0 + HOUR_MS
    desk.apply(part(1))
    desk.now = T0

    assert desk.apply(part(2)) is None

    assert desk.it.timers == {"order:p2": T0 + WAIT_MS}
    assert desk.bubble("p1").posted_ms == T0
    assert desk.fire("order:p2") is not None


def test_a_clock_that_was_ahead_does_not_make_the_customers_limit_last_longer() -> None:
    desk = Desk()
    desk.apply(bubble("b0"))
    ahead = T0 + HOUR_MS
    spent = Pair(began_ms=ahead, count=PAIR_BURST, paid_ms=ahead + PAIR_BURST * PAIR_EVERY_MS)
    desk.state = replace(desk.it, pair=spent)

    desk.apply(bubble("b1"))

    assert desk.it.timers == {"pair:b1": T0 + PAIR_BURST * PAIR_EVERY_MS}
    assert desk.it.pair == Pair(
        began_ms=T0, count=PAIR_BURST, paid_ms=T0 + PAIR_BURST * PAIR_EVERY_MS
    )
    assert desk.fire("pair:b1") is not None


def test_clocks_that_differ_by_less_than_installations_may_change_nothing() -> None:
    desk = Desk()
    desk.now = T0 + SKEW_MS - 1
    desk.apply(part(1))
    desk.now = T0

    desk.apply(part(2))

    assert desk.it.timers == {"order:p2": T0 + SKEW_MS + WAIT_MS}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"turn_id": "t0"}, {}),  # another answer
        ({"author": Author.AUTOMATION}, {}),
        ({"ordinal": 2}, {"ordinal": 2}),
        ({}, {"ordinal": 1}),
    ],
)
def test_only_parts_of_one_answer_wait_for_each_other(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    desk = Desk()
    desk.apply(part(1, **before))

    assert desk.apply(part(2, **after)) is not None


def test_the_parts_of_a_persons_reply_keep_their_order_too() -> None:
    desk = Desk()
    desk.apply(part(1, turn_id=None, author=Author.HUMAN))

    assert desk.apply(part(2, turn_id=None, author=Author.HUMAN)) is None


def test_a_tenant_may_choose_not_to_wait() -> None:
    desk = Desk(settings(delivered_wait_ms=0))
    desk.apply(part(1))

    assert desk.apply(part(2)) is not None


def test_a_part_after_an_unknown_one_waits_for_its_status_or_the_cap() -> None:
    desk = Desk()
    desk.apply(part(1), Unknown(reason="timeout"))
    assert desk.apply(part(2)) is None

    assert desk.fire("order:p2") is not None


def test_a_takeover_drops_a_part_that_waits_for_its_turn() -> None:
    desk = Desk()
    desk.apply(part(1))
    desk.apply(part(2))

    desk.apply(marker("m1", epoch=1))

    assert ("p2", BubbleState.DROPPED, "stale_epoch") in desk.ends
    assert desk.it.timers == {}
    assert desk.apply(status(DeliveryStatus.DELIVERED, "p1")) is None


# The customer's own limit


def test_a_burst_is_borrowed_from_the_time_to_come() -> None:
    desk = Desk()
    for number in range(PAIR_BURST):
        assert desk.apply(bubble(f"b{number}")) is not None

    assert desk.apply(bubble("late")) is None
    waiting = desk.of(OutboundUpdated)[-1]
    assert (waiting.state, waiting.reason, waiting.attempt) == (PLANNED, "pair_rate", 0)
    paid = T0 + 1 + PAIR_BURST * PAIR_EVERY_MS + PAIR_MARGIN_MS
    assert desk.it.timers == {"pair:late": paid}
    assert desk.apply(bubble("later")) is None
    assert desk.updates == [("later", PLANNED)]  # the head is told to wait once

    assert desk.fire("pair:late") is not None
    assert desk.fire("next") is not None  # a new burst


def test_an_answer_soon_after_another_waits_until_that_is_paid_back() -> None:
    desk = Desk()
    desk.apply(bubble("b1"))
    desk.now = T0 + 1 + PAIR_EVERY_MS - PAIR_MARGIN_MS

    assert desk.apply(bubble("b2")) is None
    assert desk.it.timers == {"pair:b2": T0 + 1 + PAIR_EVERY_MS + PAIR_MARGIN_MS}
    assert desk.fire("pair:b2") is not None


def test_what_was_refused_is_not_paid_for() -> None:
    desk = Desk()

    desk.apply(bubble("b1"), PAIR)

    assert desk.it.pair == Pair()


def test_a_number_without_a_limit_has_none_for_a_customer() -> None:
    free = Channel(phone_number_id=NUMBER, app_id="app", messages_per_second=0)
    desk = Desk(settings(channels=(free,)))
    desk.pairs.most = 1_000  # its WhatsApp does not refuse

    for number in range(2 * PAIR_BURST):
        assert desk.apply(bubble(f"b{number}")) is not None


@given(
    st.lists(
        st.tuples(
            st.integers(0, 20_000), st.integers(0, 900), st.one_of(st.none(), st.integers(0, 9_000))
        ),
        max_size=120,
    )
)
def test_whatsapp_never_refuses_however_long_requests_are_on_their_way(
    sends: list[tuple[int, int, int | None]],
) -> None:
    """Each send: the time since the one before was answered, how long it is on its way, and

    when it is found out that it was posted, if its worker died before it wrote that down.
    """
    now, pair, judge = T0, Pair(), Pairs()
    for gap, way, found in sends:
        now += gap
        now = max(now, pair_due(pair, now))
        pair = pair_spent(pair, now) if found is None else pair
        now += way
        assert judge.free_ms(("n", "c"), now) == now
        judge.count(("n", "c"), now)
        if found is not None:
            now += found
            pair = pair_doubted(pair, now)


@given(st.lists(st.integers(PAIR_EVERY_MS + PAIR_MARGIN_MS, 40_000), max_size=50))
def test_whoever_keeps_to_the_rate_never_waits(gaps: list[int]) -> None:
    now, pair = T0, Pair()
    for gap in gaps:
        now += gap
        assert pair_due(pair, now) <= now
        pair = pair_spent(pair, now)


# The 24 h window


def template(words: str) -> Template:
    return Template(name="retomar", language="pt_BR", parameter=words)


def test_what_the_closed_window_refuses_goes_as_the_tenants_template() -> None:
    desk = Desk(TEMPLATED)

    desk.apply(bubble("b1", text="Olá,\n\tseu  pedido saiu."), CLOSED)
    assert desk.ends == []
    letter = desk.fire("retry:b1")

    assert letter is not None
    assert letter.template == template("Olá, seu pedido saiu.")
    assert desk.ends == [("b1", ACCEPTED, "")]
    assert desk.posted[0].template is None


def test_a_window_known_to_be_closed_is_not_tried_with_text() -> None:
    desk = Desk(TEMPLATED)

    letter = desk.apply(bubble("b1", window_expires_at=T0 - 1))

    assert letter is not None
    assert letter.template == template("texto b1")


def test_the_template_is_still_used_for_what_waited_a_whole_day() -> None:
    desk = Desk(TEMPLATED)
    desk.apply(bubble("b1", window_expires_at=T0 + DAY_MS), AUTH)
    desk.now = T0 + DAY_MS

    letter = desk.fire("held:b1")

    assert letter is not None
    assert letter.template == template("texto b1")


@pytest.mark.parametrize(
    ("changed", "text"),
    [({"window_template": ""}, "oi"), ({}, "a" * 1025)],  # none, or no room in it
)
def test_without_a_template_that_fits_a_person_gets_it(changed: dict[str, Any], text: str) -> None:
    desk = Desk(replace(TEMPLATED, **changed))

    desk.apply(bubble("b1", text=text), CLOSED)
    desk.apply(bubble("b2", text=text, window_expires_at=T0 - 1))

    assert desk.every_end == [("b1", FAILED, "window"), ("b2", FAILED, "window_closed")]


@pytest.mark.parametrize(
    ("code", "reason"), [(131047, "window"), (132001, "bad_request"), (132015, "bad_request")]
)
def test_a_template_that_is_refused_is_not_tried_again(code: int, reason: str) -> None:
    desk = Desk(TEMPLATED)
    desk.apply(bubble("b1"), CLOSED)

    desk.fire("retry:b1", Refused(code=code, status=400))

    assert desk.ends == [("b1", FAILED, reason)]


def test_a_template_that_is_no_longer_set_is_not_sent() -> None:
    desk = Desk(TEMPLATED)
    desk.apply(bubble("b1"), CLOSED)
    desk.settings = settings()

    assert desk.fire("retry:b1") is None

    assert desk.ends == [("b1", FAILED, "window")]


def test_each_record_names_the_version_of_the_settings() -> None:
    desk = Desk(TEMPLATED)

    desk.apply(bubble("b1"))

    versions = {each.cause.settings_version for each in desk.effects if each.cause}
    assert versions == {TEMPLATED.version}


def test_a_state_from_before_these_fields_still_reads() -> None:
    desk = Desk()
    desk.apply(bubble("b1"), PAIR)
    old = msgspec.to_builtins(desk.it)
    del old["pair"], old["typing"]
    for each in old["bubbles"]:
        for name in ("ordinal", "refusals", "template"):
            del each[name]

    read = msgspec.convert(old, Gate)

    assert (read.pair, read.bubbles[0].ordinal, read.bubbles[0].refusals) == (Pair(), 1, 0)


def test_the_letter_of_a_text_has_no_template() -> None:
    letter = Desk(TEMPLATED).apply(bubble("b1"))

    assert isinstance(letter, Letter)
    assert letter.template is None


# Permits


def test_a_bubble_without_a_permit_waits_and_was_not_tried() -> None:
    desk = Desk()

    assert desk.apply(bubble("b1"), Withheld(reason="number_rate")) is None

    assert desk.updates == [("b1", PLANNED)]
    (told,) = desk.of(OutboundUpdated)
    assert (told.reason, told.attempt, told.posted_at) == ("number_rate", 0, None)
    assert desk.it.timers == {"rate:b1": T0 + RATE_LOOK_MS}


def test_a_permit_that_comes_early_lets_the_bubble_go() -> None:
    desk = Desk()
    desk.apply(bubble("b1"), Withheld(reason="auth"))
    assert desk.it.timers == {"held:b1": T0 + HELD_LOOK_MS}

    letter = desk.hasten("held:b1")

    assert letter is not None
    assert letter.callback_data.endswith("|b1|1")
    assert desk.it.timers == {}


def test_a_reason_is_told_once_however_often_it_holds() -> None:
    desk = Desk()
    desk.apply(bubble("b1"), Withheld(reason="number_rate"))

    desk.fire("rate:b1", Withheld(reason="number_rate"))
    assert desk.effects == ()
    assert desk.it.timers == {"rate:b1": T0 + 2 * RATE_LOOK_MS}
    desk.hasten("rate:b1", Withheld(reason="auth"))

    assert desk.updates == [("b1", PLANNED)]
    assert list(desk.it.timers) == ["held:b1"]


def test_a_bubble_behind_one_without_a_permit_waits_with_it() -> None:
    desk = Desk()
    desk.apply(bubble("b1"), Withheld(reason="auth"))

    assert desk.apply(bubble("b2", author=Author.HUMAN)) is None
    desk.hasten("held:b1")
    desk.until_quiet()

    assert texts(desk) == ["texto b1", "texto b2"]


def test_a_stopped_account_is_told_to_a_person_at_once() -> None:
    desk = Desk()

    desk.apply(bubble("b1"), Withheld(reason="account"))

    assert desk.ends == [("b1", FAILED, "account")]


def test_what_was_refused_without_a_token_uses_up_no_tries() -> None:
    desk = Desk()
    desk.apply(bubble("b1"), AUTH)
    for _ in range(12):
        desk.fire("held:b1", AUTH)
    unwell = Refused(code=0, status=503)
    desk.fire("held:b1", unwell)
    first_ms = desk.it.timers["retry:b1"] - desk.now
    count = len(desk.posted)
    while "retry:b1" in desk.it.timers:
        desk.fire("retry:b1", unwell)

    assert first_ms < 2_000
    assert desk.ends == [("b1", FAILED, "transient_exhausted")]
    assert len(desk.posted) - count == 9


# The tenant's kill switch


def test_what_the_ai_said_is_not_sent_once_the_tenant_stops_it() -> None:
    desk = Desk(settings())
    desk.apply(part(1))
    desk.apply(part(2))
    desk.settings = settings(version=8, ai_enabled=False)
    desk.apply(bubble("h1", author=Author.HUMAN, turn_id=None))
    desk.until_quiet()

    assert ("p2", BubbleState.DROPPED, "ai_disabled") in desk.every_end
    assert texts(desk) == ["texto p1", "texto h1"]


def test_an_answer_that_comes_after_the_kill_switch_is_not_sent() -> None:
    desk = Desk(settings(ai_enabled=False))

    assert desk.apply(part(1)) is None
    assert desk.every_end == [("p1", BubbleState.DROPPED, "ai_disabled")]
