from __future__ import annotations

from collections.abc import Callable

import pytest

from agents.core.conversation import Conversation
from agents.core.dispatch_given_up import behind, dropped, given_up
from agents.core.person_call import call_person
from schemas.changing import replace
from schemas.errors import Rejected
from schemas.events import (
    Author,
    BubbleState,
    Command,
    ConversationChanged,
    Event,
    HandoffRequested,
    HumanReplied,
    OutboundRequested,
    OutcomeKind,
    Phase,
    Position,
    ReplyOrigin,
)
from tests.agents.dispatch.talk import (
    NUMBER,
    SETTINGS,
    Talk,
    envelope,
    message,
    thinking,
    with_settings,
)

Fate = Callable[..., tuple[Conversation, tuple[Event, ...]]]


def say(fate: Fate, talk: Talk, event: Event, reason: str = "bug") -> tuple[Event, ...]:
    """Let the conversation go on without deciding the event."""
    talk.state, effects = fate(
        talk.state,
        event,
        source=Position(topic=event.event, partition=3, offset=99),
        now_ms=talk.now,
        settings=SETTINGS,
        reason=reason,
    )
    return effects


def changed(effects: tuple[Event, ...]) -> ConversationChanged:
    last = effects[-1]
    assert isinstance(last, ConversationChanged)
    return last


def outcomes(effects: tuple[Event, ...]) -> list[tuple[str, OutcomeKind, str]]:
    return [(o.wamid, o.kind, o.reason) for o in changed(effects).outcomes]


def bubbles(effects: tuple[Event, ...]) -> list[OutboundRequested]:
    return [effect for effect in effects if isinstance(effect, OutboundRequested)]


def reply(key: str, text: str = "Olá", origin: ReplyOrigin = ReplyOrigin.CONSOLE) -> HumanReplied:
    return HumanReplied(
        **envelope("inbox.human.replied", key),
        phone_number_id=NUMBER,
        origin=origin,
        reply_id=key,
        agent_user="ana",
        text=text,
    )


def test_a_message_that_is_given_up_ends_as_parked_and_calls_a_person() -> None:
    talk = Talk()

    effects = say(given_up, talk, message("w1"))

    assert outcomes(effects) == [("w1", OutcomeKind.PARKED, "given_up:bug")]
    assert talk.it.phase is Phase.WITH_HUMAN
    assert [e.to_agent for e in effects if isinstance(e, HandoffRequested)] == ["human"]
    assert [e.author for e in bubbles(effects)] == [Author.AUTOMATION]


def test_what_waited_before_it_is_handed_to_the_person() -> None:
    talk = Talk()
    talk.hear("w1")

    effects = say(given_up, talk, message("w2"))

    assert [(wamid, kind) for wamid, kind, _ in outcomes(effects)] == [
        ("w2", OutcomeKind.PARKED),
        ("w1", OutcomeKind.HANDED),
    ]


def test_a_message_with_an_outcome_gets_no_second_one() -> None:
    talk = Talk()
    say(given_up, talk, message("w1"))

    effects = say(given_up, talk, message("w1"))

    assert outcomes(effects) == []
    assert talk.it.phase is Phase.WITH_HUMAN


def test_messages_behind_it_are_parked_without_calling_again() -> None:
    talk = Talk()
    say(given_up, talk, message("w1"))

    first = say(behind, talk, message("w2"), "behind_parked")
    again = say(behind, talk, message("w2"), "behind_parked")

    assert outcomes(first) == [("w2", OutcomeKind.PARKED, "behind_parked")]
    assert outcomes(again) == []
    assert [len(first), len(again)] == [1, 1]
    assert (changed(first).decision, changed(first).reason) == ("parked", "behind_parked")


def test_a_message_that_was_answered_before_is_not_parked_when_it_is_delivered_again() -> None:
    talk = Talk()
    talk.hear("w1")
    talk.until_quiet()
    say(given_up, talk, message("w2"))

    effects = say(behind, talk, message("w1"), "behind_parked")

    assert outcomes(effects) == []


def test_what_comes_back_gets_its_real_outcome_once() -> None:
    talk = Talk()
    for wamid in ("w1", "w2"):
        say(given_up if wamid == "w1" else behind, talk, message(wamid))

    ended = [(o.wamid, o.kind) for w in ("w1", "w2", "w1") for o in talk.hear(w).outcomes]

    assert ended == [("w1", OutcomeKind.HANDED), ("w2", OutcomeKind.HANDED)]


@pytest.mark.parametrize("fate", [given_up, behind])
def test_a_persons_words_go_out_at_once_and_not_again_when_they_come_back(fate: Fate) -> None:
    talk = Talk()
    talk.hear("w1")
    said = reply("r1")

    early = bubbles(say(fate, talk, said))
    talk.apply(said)

    (later,) = talk.of(OutboundRequested)[-1:]
    assert (early[-1].author, early[-1].text) == (Author.HUMAN, "Olá")
    assert early[-1].recipient == later.recipient
    assert early[-1].bubble_id == later.bubble_id


def test_a_parked_message_keeps_the_window_open_for_a_person() -> None:
    talk = Talk()
    talk.hear("w1")
    talk.now += 20 * 3_600_000
    say(given_up, talk, message("w2", at=talk.now))
    talk.now += 20 * 3_600_000
    say(behind, talk, message("w3", at=talk.now))

    (bubble,) = bubbles(say(behind, talk, reply("r1")))

    assert bubble.window_expires_at is not None
    assert bubble.window_expires_at > talk.now + 23 * 3_600_000


def test_an_echo_of_the_phone_app_is_not_sent_a_second_time() -> None:
    talk = Talk()
    talk.hear("w1")

    assert bubbles(say(behind, talk, reply("r1", origin=ReplyOrigin.PHONE_APP))) == []


def test_words_for_nobody_known_wait_until_they_come_back() -> None:
    assert bubbles(say(behind, Talk(), reply("r1"))) == []


def test_a_dropped_message_ends_as_ignored_and_is_not_acted_on_when_delivered_again() -> None:
    talk = Talk()
    say(given_up, talk, message("w1"))

    effects = say(dropped, talk, message("w1"), "dropped")
    later = talk.hear("w1")

    assert outcomes(effects) == [("w1", OutcomeKind.IGNORED, "dropped")]
    assert (later.decision, later.outcomes) == ("duplicate_ignored", ())


def test_a_bubble_whose_end_was_dropped_is_not_waited_for_any_more() -> None:
    talk = thinking()
    talk.respond("R$ 10")
    (bubble,) = talk.of(OutboundRequested)
    end = talk.end_of(bubble, BubbleState.FAILED, "window_closed")
    say(given_up, talk, end)

    say(dropped, talk, end, "dropped")

    assert bubble.bubble_id not in talk.it.awaiting


def test_a_takeover_whose_confirmation_was_dropped_is_not_pending_any_more() -> None:
    talk = Talk()
    talk.control(Command.TAKEOVER)
    (marker,) = talk.of(OutboundRequested)
    end = talk.end_of(marker, BubbleState.APPLIED)
    assert changed(say(given_up, talk, end)).takeover_pending

    assert not changed(say(dropped, talk, end, "dropped")).takeover_pending


@pytest.mark.parametrize("timer", ["handoff", "return"])
def test_a_timer_that_was_dropped_does_not_fire_again_and_what_waited_for_it_is_a_persons(
    timer: str,
) -> None:
    """It would be due at once, fail as before, and park the conversation again."""
    talk = Talk(with_settings(handoff_minutes=10, human_silence_minutes=10))
    talk.hear("w0", "quero falar com um atendente")
    if timer == "return":
        talk.control(Command.TAKEOVER)
    talk.hear("w1")
    assert [each.wamid for each in talk.it.pending] == ["w1"]
    fired = talk.fired(timer)
    say(given_up, talk, fired)

    effects = say(dropped, talk, fired, "dropped")

    assert timer not in talk.it.timers
    assert outcomes(effects) == [("w1", OutcomeKind.HANDED, "dropped")]
    assert talk.it.pending == ()


@pytest.mark.parametrize("fate", [given_up, behind, dropped])
def test_nothing_is_said_of_an_event_of_another_company(fate: Fate) -> None:
    talk = Talk()
    talk.hear("w1")

    with pytest.raises(Rejected, match="wrong_conversation"):
        say(fate, talk, replace(message("w2"), tenant_id="tenant_b"))


def test_a_conversation_that_another_stage_parked_goes_to_a_person_once() -> None:
    talk = Talk()
    talk.hear("w1")
    call = call_person(message("w1"), stage="ai", parking_id="a.topic/3/7", now_ms=talk.now)

    first, again = talk.apply(call), talk.apply(call)

    assert (first.decision, first.reason) == ("taken_over", "parked_by:ai")
    assert [(o.wamid, o.kind) for o in first.outcomes] == [("w1", OutcomeKind.HANDED)]
    assert again.decision == "duplicate_ignored"
