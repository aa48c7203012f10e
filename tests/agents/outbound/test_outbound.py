from __future__ import annotations

import asyncio

import pytest

from agents.core.gate import Gate
from agents.outbound import CLAIM_VALID_MS
from agents.ports import (
    Accepted,
    Asked,
    BubbleMoved,
    BubbleSettled,
    NotSent,
    Receipt,
    Refused,
    Unknown,
    UnknownBubbles,
)
from schemas.errors import Unavailable
from schemas.events import (
    Author,
    BubbleState,
    DeliveryStatus,
    OutboundUpdated,
)
from tests.agents.outbound.desk import NUMBER, T0, bubble, marker, status
from tests.agents.outbound.office import Office, ends, fired, told


@pytest.fixture
def office() -> Office:
    return Office()


async def test_a_bubble_is_claimed_posted_and_settled(office: Office) -> None:
    _, effects = await office.handle(bubble("b1"))

    assert ends(effects) == [BubbleState.ACCEPTED]
    assert list(office.claims.results) == [("bubble", "b1", 1)]
    updates = [each for each in effects if isinstance(each, OutboundUpdated)]
    assert [each.posted_at for each in updates] == [T0]


async def test_without_a_letter_nothing_is_claimed(office: Office) -> None:
    office.claims.down = True

    _, effects = await office.handle(marker("m1", 1))

    assert ends(effects) == [BubbleState.APPLIED]


async def test_without_a_claim_nothing_is_sent(office: Office) -> None:
    office.claims.down = True

    with pytest.raises(Unavailable):
        await office.handle(bubble("b1"))

    assert office.courier.letters == []


@pytest.mark.parametrize(
    "receipt",
    [
        Accepted(wamid="wamid.1", wa_id="55119"),
        Refused(code=131056, status=400, title="OAuthException"),
        Unknown(reason="timeout"),
        NotSent(reason="unreachable"),
    ],
)
async def test_an_event_that_comes_again_meets_the_stored_result(
    office: Office, receipt: Receipt
) -> None:
    office.courier.receipt = receipt
    first = await office.handle(bubble("b1"))
    office.clock.ms = T0

    again = await office.handle(bubble("b1"))

    assert len(office.courier.letters) == 1
    # A wait is measured from the answer, which the second time is there 40 ms earlier.
    assert [type(each) for each in again[1]] == [type(each) for each in first[1]]
    assert again[0].bubbles[0].state is first[0].bubbles[0].state
    assert again[0].timers.keys() == first[0].timers.keys()


@pytest.mark.parametrize("stored", [None, "", "{", '"accepted"', '{"kind": "other"}', "[1]"])
async def test_a_claim_without_a_readable_result_is_unknown(
    office: Office, stored: str | None
) -> None:
    office.claims.results["bubble", "b1", 1] = stored

    state, effects = await office.handle(bubble("b1"))

    assert office.courier.letters == []
    assert ends(effects) == []
    assert state.bubbles[0].state is BubbleState.UNKNOWN
    assert list(state.timers) == ["unknown_cap:b1"]


@pytest.mark.parametrize("deaf", [Unavailable("postgres"), LookupError("nobody foresaw it")])
async def test_a_result_that_cannot_be_stored_is_used_all_the_same(
    office: Office, deaf: Exception
) -> None:
    office.claims.deaf = deaf

    _, effects = await office.handle(bubble("b1"))

    assert ends(effects) == [BubbleState.ACCEPTED]


async def test_a_claim_that_is_too_old_is_not_used(office: Office) -> None:
    office.claims.takes_ms = CLAIM_VALID_MS + 1

    state, effects = await office.handle(bubble("b1"))

    assert office.courier.letters == []
    assert ends(effects) == []
    assert list(state.timers) == ["retry:b1"]


async def test_nothing_is_written_after_the_window_has_closed_meanwhile(office: Office) -> None:
    office.claims.takes_ms = 1_001

    _, effects = await office.handle(bubble("b1", window_expires_at=T0 + 1_000))

    assert office.courier.letters == []
    assert ends(effects) == [BubbleState.FAILED]


async def test_two_workers_with_the_same_event_post_once(office: Office) -> None:
    results = await asyncio.gather(*(office.handle(bubble("b1")) for _ in range(5)))

    assert len(office.courier.letters) == 1
    assert len(results) == 5


# Permits


async def test_a_bubble_asks_with_what_decides_who_goes_first(office: Office) -> None:
    await office.handle(bubble("b1", author=Author.HUMAN, window_expires_at=T0 + 9_000))
    await office.handle(bubble("b2"))

    assert office.permits.asked == [
        Asked(
            conversation_id="conv_0f",
            bubble_id="b1",
            phone_number_id=NUMBER,
            author=Author.HUMAN,
            deadline_ms=T0 + 9_000,
        ),
        Asked(
            conversation_id="conv_0f",
            bubble_id="b2",
            phone_number_id=NUMBER,
            author=Author.AI,
            deadline_ms=T0 + 24 * 3_600_000,
        ),
    ]
    assert office.permits.came == [Accepted(wamid="wamid.1")] * 2


async def test_what_holds_back_somebody_more_urgent_asks_again_as_they_would(
    office: Office,
) -> None:
    office.permits.reason = "number_rate"
    state, _ = await office.handle(bubble("notice", author=Author.AUTOMATION))
    for name, author in (("ana", Author.HUMAN), ("bia", Author.HUMAN), ("ai", Author.AI)):
        state, _ = await office.handle(bubble(name, author=author), state)

    await office.handle(fired("rate:notice", state), state)

    asked = [(each.bubble_id, each.author) for each in office.permits.asked]
    assert asked == [("notice", Author.AUTOMATION), *[("notice", Author.HUMAN)] * 2]


async def test_what_a_stopped_number_holds_asks_with_who_waits_behind_it_at_its_time(
    office: Office,
) -> None:
    office.permits.reason = "auth"
    state, _ = await office.handle(bubble("notice", author=Author.AUTOMATION))
    state, _ = await office.handle(bubble("ana", author=Author.HUMAN), state)

    await office.handle(fired("held:notice", state), state)

    asked = [(each.bubble_id, each.author) for each in office.permits.asked]
    assert asked == [("notice", Author.AUTOMATION), ("notice", Author.HUMAN)]


async def test_who_is_no_more_urgent_lets_nobody_ask_again(office: Office) -> None:
    office.permits.reason = "number_rate"
    state, _ = await office.handle(bubble("b1"))

    state, _ = await office.handle(bubble("b2"), state)
    state, _ = await office.handle(bubble("late", author=Author.AUTOMATION), state)

    assert [each.bubble_id for each in office.permits.asked] == ["b1"]
    assert list(state.timers) == ["rate:b1"]


async def test_without_a_permit_nothing_is_claimed_or_posted(office: Office) -> None:
    office.permits.reason = "number_rate"

    state, effects = await office.handle(bubble("b1"))

    assert (office.claims.results, office.courier.letters, ends(effects)) == ({}, [], [])
    assert list(state.timers) == ["rate:b1"]
    assert office.permits.came == []


async def test_what_was_posted_before_the_event_came_again_needs_no_permit(office: Office) -> None:
    await office.handle(bubble("b1"))
    office.permits.reason = "number_rate"

    _, effects = await office.handle(bubble("b1"))

    assert ends(effects) == [BubbleState.ACCEPTED]
    assert len(office.courier.letters) == 1


@pytest.mark.parametrize("receipt", [Refused(code=190, status=401), Accepted(wamid="wamid.1")])
async def test_what_was_learned_before_the_event_came_again_is_not_learned_again(
    office: Office, receipt: Receipt
) -> None:
    office.courier.receipt = receipt
    await office.handle(bubble("b1"))

    await office.handle(bubble("b1"))  # its token may be another one since

    assert office.permits.came == [receipt, None]


async def test_a_permit_is_given_back_when_the_claim_cannot_be_taken(office: Office) -> None:
    office.claims.down = True

    with pytest.raises(Unavailable):
        await office.handle(bubble("b1"))

    assert office.permits.came == [None]


# What is counted


async def test_a_bubble_is_counted_with_how_it_moved_and_ended(office: Office) -> None:
    await office.handle(bubble("b1"))

    assert office.seen == [
        BubbleMoved(state="accepted", reason=""),
        BubbleSettled(state="accepted", reason="", unknown=False),
    ]


async def test_an_unknown_result_is_counted_until_a_status_tells_it(office: Office) -> None:
    office.courier.receipt = Unknown(reason="timeout")
    state, _ = await office.handle(bubble("b1"))
    assert office.seen[-1] == UnknownBubbles(conversation_id="conv_0f", count=1)

    await office.handle(status(DeliveryStatus.SENT, "b1"), state)

    assert BubbleSettled(state="accepted", reason="", unknown=True) in office.seen
    assert office.seen[-1] == UnknownBubbles(conversation_id="conv_0f", count=0)


async def test_an_unknown_result_that_no_status_tells_is_counted_for_a_person(
    office: Office,
) -> None:
    office.courier.receipt = Unknown(reason="timeout")
    state, _ = await office.handle(bubble("b1"))

    await office.handle(fired("unknown_cap:b1", state), state)

    assert BubbleSettled(state="unknown", reason="timeout", unknown=True) in office.seen


async def test_a_stopped_account_is_counted_with_its_class(office: Office) -> None:
    office.courier.receipt = Refused(code=131042, status=400)

    await office.handle(bubble("b1"))

    assert BubbleSettled(state="failed", reason="account", unknown=False) in office.seen


async def test_what_the_ai_says_is_not_sent_once_a_takeover_was_written_down(
    office: Office,
) -> None:
    """The marker is still on its way."""
    office.claims.bars["conv_0f"] = 2

    state, effects = await office.handle(bubble("b1", epoch=1))

    assert told(effects) == [("b1", BubbleState.DROPPED, "taken_over")]
    assert (office.courier.letters, office.claims.results) == ([], {})
    assert office.permits.came == [None]
    assert state.timers == {}


async def test_the_other_parts_of_the_answer_go_with_it_and_a_persons_words_are_sent(
    office: Office,
) -> None:
    office.permits.reason = "number_rate"
    state: Gate | None = None
    for event in (
        bubble("b1", epoch=1, turn_id="t1"),
        bubble("b2", epoch=1, turn_id="t1", ordinal=2),
        bubble("h1", epoch=1, author=Author.HUMAN),
        bubble("b3", epoch=3, turn_id="t2"),
    ):
        state, _ = await office.handle(event, state)
    office.permits.reason = ""
    office.claims.bars["conv_0f"] = 2
    assert state is not None

    state, effects = await office.handle(fired("rate:b1", state), state)
    assert [(name, end) for name, end, _ in told(effects)] == [
        ("b1", BubbleState.DROPPED),
        ("b2", BubbleState.DROPPED),
    ]
    for name in ("h1", "b3"):
        state, effects = await office.handle(fired("next", state), state)
        assert told(effects) == [(name, BubbleState.ACCEPTED, "")]


async def test_a_bubble_of_the_epoch_of_the_takeover_or_a_newer_one_is_sent(
    office: Office,
) -> None:
    """After a release the AI speaks again, whatever was written down before."""
    office.claims.bars["conv_0f"] = 2

    _, effects = await office.handle(bubble("b1", epoch=2))

    assert ends(effects) == [BubbleState.ACCEPTED]


async def test_a_bubble_that_was_posted_before_the_takeover_is_no_dropped_one(
    office: Office,
) -> None:
    event = bubble("b1", epoch=1)
    await office.handle(event)
    office.claims.bars["conv_0f"] = 2

    _, effects = await office.handle(event)

    assert ends(effects) == [BubbleState.ACCEPTED]
    assert len(office.courier.letters) == 1
