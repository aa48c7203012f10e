from __future__ import annotations

from typing import Any

import pytest

from agents.core.gate import KEPT_BUBBLES
from agents.core.gate_plan import plan
from agents.core.gate_settle import UNKNOWN_CAP_MS
from agents.core.gate_waits import PAIR_EVERY_MS, PAIR_MARGIN_MS
from agents.ports import Letter, NotSent, Receipt, Refused, Unknown, Withheld
from schemas.changing import replace
from schemas.errors import Rejected
from schemas.events import (
    Author,
    BubbleState,
    DeliveryStatus,
    OutboundKind,
    OutboundSettled,
    OutboundUpdated,
    Person,
    Position,
)
from tests.agents.outbound.desk import NUMBER, T0, Desk, bubble, marker, status

ACCEPTED, FAILED, DROPPED, PLANNED, UNKNOWN = (
    BubbleState.ACCEPTED,
    BubbleState.FAILED,
    BubbleState.DROPPED,
    BubbleState.PLANNED,
    BubbleState.UNKNOWN,
)
PAIR = Refused(code=131056, status=400)
AUTH = Refused(code=190, status=401)
TIMEOUT = Unknown(reason="timeout")


def test_a_bubble_is_posted_in_the_handling_of_its_request() -> None:
    desk = Desk()

    letter = desk.apply(bubble("b1", turn_id="t1", epoch=3, reply_to_wamid="wamid.q"))

    assert letter == Letter(
        tenant_id="tenant_a",
        phone_number_id=NUMBER,
        wa_id="5511987654321",
        user_id=None,
        text="texto b1",
        reply_to_wamid="wamid.q",
        callback_data="v1|tenant_a|conv_0f|cust_0f|b1|1",
    )
    (accepted,) = desk.of(OutboundUpdated)
    (settled,) = desk.of(OutboundSettled)
    assert (accepted.state, accepted.text, accepted.attempt) == (ACCEPTED, "texto b1", 1)
    assert (accepted.wamid, accepted.posted_at) == ("wamid.b1", T0 + 1)
    assert (settled.state, settled.wamid, settled.turn_id) == (ACCEPTED, "wamid.b1", "t1")
    assert desk.it.timers == {}


def test_a_repeated_request_is_not_posted_again() -> None:
    desk = Desk()
    desk.apply(bubble("b1"))

    assert desk.apply(bubble("b1")) is None
    assert desk.effects == ()


# Order


def test_a_bubble_that_waits_holds_back_those_behind_it() -> None:
    desk = Desk()
    desk.apply(bubble("b1"), PAIR)

    assert desk.apply(bubble("b2")) is None
    assert desk.apply(bubble("b3", author=Author.HUMAN)) is None

    assert desk.fire("retry:b1") is not None
    assert set(desk.it.timers) == {"next"}
    assert desk.fire("next") is not None
    assert desk.fire("next") is not None
    assert [letter.text for letter in desk.posted] == [
        "texto b1",
        "texto b1",
        "texto b2",
        "texto b3",
    ]
    assert desk.it.timers == {}


def test_the_same_timer_never_has_the_same_due_time_twice() -> None:
    desk = Desk()
    desk.apply(bubble("b1"), PAIR)
    for name in ("b2", "b3"):
        desk.apply(bubble(name))
    desk.fire("retry:b1")
    first = desk.it.timers["next"]
    desk.now = first - 2  # a clock that stands still: settled at the due time again

    desk.apply(desk.fired("next"))

    assert desk.it.timers["next"] == first + 1


def test_an_unknown_result_does_not_hold_back_a_person() -> None:
    desk = Desk()
    desk.apply(bubble("b1"), TIMEOUT)

    assert desk.apply(bubble("b2", author=Author.HUMAN)) is not None


def test_what_follows_a_part_that_failed_is_not_sent() -> None:
    desk = Desk()
    desk.apply(bubble("b1", turn_id="t1"), PAIR)
    desk.apply(bubble("b2", turn_id="t1"))
    desk.apply(bubble("b3", turn_id="t2"))

    desk.fire("retry:b1", Refused(code=131026, status=400))
    assert desk.ends == [("b1", FAILED, "undeliverable"), ("b2", DROPPED, "part_failed")]

    desk.apply(bubble("b4", turn_id="t1"))
    assert ("b4", DROPPED, "part_failed") in desk.ends
    desk.until_quiet()
    assert desk.bubble("b3").state is ACCEPTED


# Epochs


def test_a_marker_is_settled_as_applied() -> None:
    desk = Desk()

    assert desk.apply(marker("m1", 4)) is None

    (settled,) = desk.of(OutboundSettled)
    assert (settled.kind, settled.state, settled.epoch, settled.reason) == (
        OutboundKind.MARKER,
        BubbleState.APPLIED,
        4,
        "takeover",
    )
    assert (desk.it.epoch, desk.it.floor) == (4, 4)


def test_a_marker_drops_what_the_ai_has_not_sent_and_lets_people_through() -> None:
    desk = Desk()
    desk.apply(bubble("ai1"), AUTH)
    desk.apply(bubble("ai2"))
    desk.apply(bubble("notice", author=Author.AUTOMATION))
    desk.apply(bubble("ana", author=Author.HUMAN))

    letter = desk.apply(marker("m1", 1))

    assert desk.ends == [
        ("ai1", DROPPED, "stale_epoch"),
        ("ai2", DROPPED, "stale_epoch"),
        ("m1", BubbleState.APPLIED, "takeover"),
        ("notice", ACCEPTED, ""),
    ]
    assert letter is not None
    assert letter.text == "texto notice"
    assert set(desk.it.timers) == {"next"}


@pytest.mark.parametrize(
    ("author", "epoch", "sent"),
    [
        (Author.AI, 0, False),
        (Author.AI, 1, True),
        (Author.HUMAN, 0, True),  # a takeover silences the AI, never a person
        (Author.AUTOMATION, 0, True),
    ],
)
def test_only_the_ai_is_silenced(author: Author, epoch: int, sent: bool) -> None:
    desk = Desk()
    desk.apply(marker("m1", 1))

    letter = desk.apply(bubble("b1", author=author, epoch=epoch))

    assert (letter is not None) is sent
    assert desk.ends[-1][1] is (ACCEPTED if sent else DROPPED)


def test_a_newer_turn_does_not_drop_an_answer_that_waits() -> None:
    desk = Desk()
    desk.apply(bubble("old", epoch=0), PAIR)
    desk.apply(bubble("new", epoch=1))

    desk.until_quiet()

    assert [letter.text for letter in desk.posted] == ["texto old", "texto old", "texto new"]


# What is never sent


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"text": None}, "no_text"),
        ({"text": " \n"}, "no_text"),
        ({"text": "a" * 4097}, "too_long"),
        ({"recipient": Person()}, "no_recipient"),
        ({"window_expires_at": T0}, "window_closed"),
    ],
)
def test_what_can_never_be_sent_fails_at_once(fields: dict[str, Any], reason: str) -> None:
    desk = Desk()

    assert desk.apply(bubble("b1", **fields)) is None

    (failed,) = desk.of(OutboundUpdated)
    assert (failed.state, failed.text) == (FAILED, fields.get("text", "texto b1"))
    assert desk.ends == [("b1", FAILED, reason)]


def test_what_waits_is_told_with_its_text_and_later_without() -> None:
    desk = Desk()
    desk.apply(bubble("b1"), Withheld(reason="number_rate"))
    (waiting,) = desk.of(OutboundUpdated)

    desk.fire("rate:b1")

    (accepted,) = desk.of(OutboundUpdated)
    assert (waiting.state, waiting.reason, waiting.text) == (PLANNED, "number_rate", "texto b1")
    assert (accepted.state, accepted.text) == (ACCEPTED, None)


def test_a_business_scoped_id_is_enough_to_send() -> None:
    letter = Desk().apply(bubble("b1", recipient=Person(user_id="BR.1")))

    assert letter is not None
    assert (letter.wa_id, letter.user_id) == (None, "BR.1")


def test_what_a_clock_that_was_ahead_has_armed_is_due_when_it_comes() -> None:
    desk = Desk()
    desk.now += 3_600_000
    desk.apply(bubble("b1"), PAIR)
    desk.now -= 3_600_000

    assert desk.hasten("retry:b1", PAIR) is not None

    assert 0 < desk.it.timers["retry:b1"] - desk.now < 10_000
    assert desk.fire("retry:b1") is not None


def test_a_window_that_closed_while_a_bubble_waited_ends_it() -> None:
    desk = Desk()
    desk.apply(bubble("b1", window_expires_at=T0 + 10_000), PAIR)
    desk.now = T0 + 10_000  # the worker was away

    assert desk.fire("retry:b1") is None

    assert desk.ends == [("b1", FAILED, "window_closed")]


def test_a_newer_message_of_the_customer_opens_the_window_for_what_waits() -> None:
    desk = Desk()
    desk.apply(bubble("b1", window_expires_at=T0 + 10_000), PAIR)
    desk.apply(bubble("b2", window_expires_at=T0 + 3_600_000))

    desk.now = T0 + 10_000

    assert desk.fire("retry:b1") is not None


def test_nothing_is_held_for_more_than_a_day() -> None:
    desk = Desk()
    desk.apply(bubble("b1"), AUTH)
    desk.now = T0 + 24 * 3_600_000

    assert desk.fire("held:b1") is None

    assert desk.ends == [("b1", FAILED, "expired")]


def test_a_queue_that_is_full_refuses_more() -> None:
    desk = Desk()
    desk.apply(bubble("b0"), AUTH)
    for number in range(1, 101):
        desk.apply(bubble(f"b{number}"))

    assert desk.ends == [("b100", FAILED, "queue_full")]


# Results


@pytest.mark.parametrize(
    ("receipt", "reason", "attempts"),
    [
        (PAIR, "pair_exhausted", 6),
        (Refused(code=80007, status=400), "rate_exhausted", 8),
        (Refused(code=130429, status=400), "number_rate_exhausted", 8),
        (Refused(code=131048, status=400), "spam_exhausted", 5),
        (Refused(code=131000, status=500), "transient_exhausted", 10),
        (Refused(code=0, status=503), "transient_exhausted", 10),
        (NotSent(reason="unreachable"), "transient_exhausted", 10),
        (Refused(code=131047, status=400), "window", 1),
        (Refused(code=131026, status=400), "undeliverable", 1),
        (Refused(code=131009, status=400), "bad_request", 1),
        (Refused(code=131042, status=400), "account", 1),
        (Refused(code=137000, status=400), "identity", 1),
    ],
)
def test_a_refusal_is_tried_again_as_its_class_says(
    receipt: Receipt, reason: str, attempts: int
) -> None:
    desk = Desk()
    desk.apply(bubble("b1"), receipt)
    while "retry:b1" in desk.it.timers:
        desk.fire("retry:b1", receipt)

    assert desk.ends == [("b1", FAILED, reason)]
    assert len(desk.posted) == attempts


@pytest.mark.parametrize("receipt", [AUTH, NotSent(reason="no_token")])
def test_without_a_token_bubbles_are_kept_in_order(receipt: Receipt) -> None:
    desk = Desk()
    desk.apply(bubble("b1"), receipt)
    desk.apply(bubble("b2"))
    for _ in range(30):
        desk.fire("held:b1", receipt)
    assert desk.ends == []

    desk.until_quiet()

    assert [letter.text for letter in desk.posted[-2:]] == ["texto b1", "texto b2"]


def test_a_refusal_is_shown_while_the_bubble_waits() -> None:
    desk = Desk()

    desk.apply(bubble("b1"), PAIR)

    waiting = desk.of(OutboundUpdated)[-1]
    assert (waiting.state, waiting.reason, waiting.error_code, waiting.attempt) == (
        PLANNED,
        "pair",
        131056,
        1,
    )


def test_an_unknown_result_is_never_posted_again() -> None:
    desk = Desk()
    desk.apply(bubble("b1"), TIMEOUT)
    assert desk.updates[-1] == ("b1", UNKNOWN)
    assert desk.it.timers == {"unknown_cap:b1": T0 + 2 + UNKNOWN_CAP_MS}

    assert desk.fire("unknown_cap:b1") is None

    assert desk.ends == [("b1", UNKNOWN, "timeout")]
    assert len(desk.posted) == 1


# Statuses


def test_a_status_proves_that_an_unknown_bubble_was_sent() -> None:
    desk = Desk()
    desk.apply(bubble("b1"), TIMEOUT)

    desk.apply(status(DeliveryStatus.DELIVERED, "b1"))

    assert desk.updates == [("b1", ACCEPTED), ("b1", BubbleState.DELIVERED)]
    assert desk.ends == [("b1", ACCEPTED, "")]
    assert desk.it.timers == {}
    assert desk.bubble("b1").wamid == "wamid.b1"


def test_a_status_proves_that_a_refused_bubble_was_sent_after_all() -> None:
    desk = Desk()
    desk.apply(bubble("b1"), Refused(code=0, status=500))
    desk.apply(bubble("b2"))

    letter = desk.apply(status(DeliveryStatus.SENT, "b1"))

    assert ("b1", ACCEPTED, "") in desk.ends
    assert letter is not None
    assert letter.text == "texto b2"
    assert desk.it.timers == {}


def test_a_failure_that_is_reported_of_an_unknown_bubble_settles_it() -> None:
    desk = Desk()
    desk.apply(bubble("b1"), TIMEOUT)

    desk.apply(status(DeliveryStatus.FAILED, "b1", error_code=131026))

    assert desk.updates == [("b1", FAILED)]
    assert desk.ends == [("b1", FAILED, "reported_failed")]
    assert desk.of(OutboundSettled)[0].error_code == 131026


def test_a_status_after_the_cap_is_shown_but_settles_nothing() -> None:
    desk = Desk()
    desk.apply(bubble("b1"), TIMEOUT)
    desk.fire("unknown_cap:b1")

    desk.apply(status(DeliveryStatus.READ, "b1"))

    assert (desk.updates, desk.ends) == ([("b1", BubbleState.READ)], [])


@pytest.mark.parametrize(
    ("reports", "shown"),
    [
        ("sent delivered read", "sent delivered read"),
        ("read delivered sent", "read"),  # a late lower rank is no step back
        ("failed delivered", "failed delivered"),  # two devices
        ("delivered failed", "delivered"),
        ("played read", "played"),
        ("sent sent", "sent"),
        ("deleted warning unknown", ""),  # seen, kept, not shown
    ],
)
def test_statuses_are_shown_by_rank(reports: str, shown: str) -> None:
    desk = Desk()
    desk.apply(bubble("b1"))
    seen = []
    for report in reports.split():
        desk.apply(status(DeliveryStatus(report), "b1"))
        seen += [state for _, state in desk.updates]

    assert " ".join(seen) == shown


def test_a_status_finds_its_bubble_by_whatsapps_id_too() -> None:
    desk = Desk()
    desk.apply(bubble("b1"))

    desk.apply(status(DeliveryStatus.READ, None, wamid="wamid.b1"))

    assert desk.updates == [("b1", BubbleState.READ)]


def test_a_status_of_something_else_changes_nothing() -> None:
    desk = Desk()

    desk.apply(status(DeliveryStatus.READ, None, wamid="wamid.phone-app"))

    assert desk.effects == ()


def test_old_bubbles_are_forgotten() -> None:
    desk = Desk()
    for number in range(KEPT_BUBBLES + 5):
        desk.now += PAIR_EVERY_MS + PAIR_MARGIN_MS + 1
        desk.apply(bubble(f"b{number}", desk.now))

    assert [each.bubble_id for each in desk.it.bubbles] == [
        f"b{number}" for number in range(5, KEPT_BUBBLES + 5)
    ]
    assert desk.apply(bubble("b0")) is None


def test_a_timer_that_was_disarmed_does_nothing() -> None:
    desk = Desk()
    desk.apply(bubble("b1"), TIMEOUT)
    late = desk.fired("unknown_cap:b1")
    desk.apply(status(DeliveryStatus.SENT, "b1"))

    assert desk.apply(late) is None
    assert desk.effects == ()


# The table of errors


def test_a_record_that_is_not_for_the_gate_is_rejected() -> None:
    settled = OutboundSettled(
        **{
            name: getattr(bubble("b1"), name)
            for name in ("event_id", "trace_id", "tenant_id", "conversation_id", "customer_id")
        },
        event="outbound.message.settled",
        idempotency_key="b1",
        occurred_at=T0,
        bubble_id="b1",
        epoch=0,
        author=Author.AI,
        kind=OutboundKind.MESSAGE,
        state=ACCEPTED,
    )

    with pytest.raises(Rejected, match="unexpected_record"):
        plan(None, settled, source=Position(topic="t", partition=0, offset=0), now_ms=T0)


@pytest.mark.parametrize("other", [{"tenant_id": "b"}, {"conversation_id": "conv_1"}])
def test_an_event_of_another_conversation_is_rejected(other: dict[str, Any]) -> None:
    desk = Desk()
    desk.apply(bubble("b1"))

    with pytest.raises(Rejected, match="wrong_conversation"):
        desk.apply(replace(bubble("b2"), **other))
