from __future__ import annotations

from typing import Any

import pytest

from agents.core.dispatch_people import NOTICE
from agents.core.texts import BUBBLE_CHARS
from schemas.changing import replace
from schemas.events import (
    Author,
    BubbleState,
    Command,
    HandoffRequested,
    HumanReplied,
    MessageKind,
    OutboundKind,
    OutboundRequested,
    OutcomeKind,
    Person,
    Phase,
    ReplyOrigin,
    TurnKind,
)
from tests.agents.dispatch.talk import (
    MARIA,
    T0,
    Talk,
    thinking,
    with_human,
    with_settings,
)

HOUR = 3_600_000


def test_a_takeover_while_thinking_silences_the_ai() -> None:
    talk = thinking()

    decided = talk.control(Command.TAKEOVER)

    (marker,) = talk.of(OutboundRequested)
    (cancelled,) = talk.of(HandoffRequested)
    assert (marker.kind, marker.text, marker.epoch) == (OutboundKind.MARKER, None, talk.it.epoch)
    assert cancelled.kind is TurnKind.CANCEL
    assert (decided.phase, decided.agent_user) == (Phase.WITH_HUMAN, "ana")
    assert decided.takeover_pending
    assert [each.reason for each in decided.outcomes] == ["takeover"]
    stale = talk.respond("R$ 10", side_effects=("call-1",))
    assert (stale.decision, stale.reason) == ("stale_response", "side_effects")
    assert talk.texts == []


@pytest.mark.parametrize(
    ("command", "more"),
    [
        (Command.TAKEOVER, {}),
        (Command.PAUSE, {}),
        (Command.PAUSE, {"until": T0 + HOUR}),
        (Command.CLOSE, {}),
    ],
)
def test_a_marker_is_newer_than_the_answers_before_it(
    command: Command, more: dict[str, Any]
) -> None:
    talk = thinking()
    talk.respond("R$ 10")
    (answer,) = talk.of(OutboundRequested)

    talk.control(command, **more)

    (marker,) = talk.of(OutboundRequested)
    assert (marker.kind, marker.epoch) == (OutboundKind.MARKER, answer.epoch + 1)


def test_a_takeover_counts_when_the_gate_confirms_its_marker() -> None:
    talk = thinking()
    talk.control(Command.TAKEOVER)
    (marker,) = talk.of(OutboundRequested)

    decided = talk.settle(marker, BubbleState.APPLIED)

    assert (decided.decision, decided.takeover_pending) == ("takeover_applied", False)


def test_a_repeated_command_is_obeyed_once() -> None:
    talk = thinking()
    talk.control(Command.TAKEOVER, "r1")
    epoch = talk.it.epoch

    decided = talk.control(Command.TAKEOVER, "r1")

    assert decided.decision == "duplicate_ignored"
    assert (talk.it.epoch, len(talk.effects)) == (epoch, 1)


@pytest.mark.parametrize(
    ("command", "decision"),
    [
        (Command.RELEASE, "release_ignored"),
        (Command.UNPARK, "unpark_ignored"),
        (Command.UNKNOWN, "unknown_ignored"),
    ],
)
def test_a_command_that_does_not_fit_changes_nothing(command: Command, decision: str) -> None:
    talk = Talk()

    decided = talk.control(command)

    assert (decided.decision, decided.reason) == (decision, "phase:idle")
    assert (decided.phase, decided.epoch) == (Phase.IDLE, 0)


def test_a_release_gives_the_conversation_back_to_the_ai() -> None:
    talk = with_human()
    talk.control(Command.TAKEOVER)

    decided = talk.control(Command.RELEASE)

    assert (decided.phase, decided.owner, decided.epoch) == (Phase.IDLE, None, 2)
    assert [each.kind for each in talk.of(OutboundRequested)] == [OutboundKind.MARKER]
    talk.hear("w2", "quanto custa?")
    assert talk.fire("burst").decision == "turn_started"


def test_two_commands_under_one_key_are_two_requests() -> None:
    talk = with_human()

    taken = talk.control(Command.TAKEOVER, "ticket-7")
    released = talk.control(Command.RELEASE, "ticket-7")

    assert (taken.decision, released.decision) == ("taken_over", "released")
    assert talk.control(Command.RELEASE, "ticket-7").decision == "duplicate_ignored"


def test_what_the_ai_said_before_a_hand_over_is_still_sent_when_nobody_took_it() -> None:
    """It waits at the gate, for a token say; a marker there would drop it, and nobody knows."""
    talk = with_human()

    decided = talk.control(Command.RELEASE)

    assert (decided.phase, decided.decision, decided.epoch) == (Phase.IDLE, "released", 0)
    assert talk.of(OutboundRequested) == []


def test_a_person_who_writes_takes_the_conversation() -> None:
    talk = thinking()

    decided = talk.reply("Oi, aqui é a Ana")

    marker, bubble = talk.of(OutboundRequested)
    assert (marker.kind, bubble.text) == (OutboundKind.MARKER, "Oi, aqui é a Ana")
    assert (bubble.author, bubble.epoch, bubble.recipient) == (Author.HUMAN, marker.epoch, MARIA)
    assert (decided.phase, decided.agent_user, decided.unread) == (Phase.WITH_HUMAN, "ana", 0)
    assert [each.reason for each in decided.outcomes] == ["human_replied"]
    assert talk.it.history[-1].text == "Oi, aqui é a Ana"


def test_only_the_first_reply_needs_a_marker() -> None:
    talk = with_human()
    talk.reply("oi")
    assert len(talk.of(OutboundRequested)) == 2

    talk.reply("tudo bem?")

    assert talk.texts == ["tudo bem?"]


@pytest.mark.parametrize("ai_enabled", [True, False], ids=["phone app", "kill switch"])
def test_who_writes_where_nobody_is_known_to_have_it_has_it(*, ai_enabled: bool) -> None:
    """Else the ticket waits in everybody's queue although somebody answers."""
    talk = Talk(with_settings(ai_enabled=ai_enabled))
    talk.hear("w1")
    if ai_enabled:
        talk.reply("respondi pelo celular", ReplyOrigin.PHONE_APP)
    assert (talk.it.phase, talk.it.agent_user) == (Phase.WITH_HUMAN, None)

    decided = talk.reply("Oi, aqui é a Ana")

    assert decided.agent_user == "ana"


def test_who_helps_the_person_who_has_it_does_not_take_it_from_them() -> None:
    talk = with_human()
    talk.reply("Oi, aqui é a Ana")
    said = talk.history[-1]
    assert isinstance(said, HumanReplied)

    decided = talk.apply(replace(said, reply_id="r2", agent_user="bia"))

    assert (decided.decision, decided.agent_user) == ("human_replied", "ana")


def test_an_answer_from_the_phone_app_is_a_takeover_and_is_not_sent_again() -> None:
    talk = thinking()

    decided = talk.reply("respondi pelo celular", ReplyOrigin.PHONE_APP, wamid="wamid.echo")

    assert (decided.phase, decided.agent_user) == (Phase.WITH_HUMAN, None)
    assert talk.texts == [None]
    assert talk.it.history[-1].wamid == "wamid.echo"


@pytest.mark.parametrize("kind", [MessageKind.EDIT, MessageKind.REVOKE, MessageKind.REACTION])
def test_an_echo_without_words_is_no_takeover(kind: MessageKind) -> None:
    talk = thinking()

    decided = talk.reply("x", ReplyOrigin.PHONE_APP, kind=kind)

    assert (decided.decision, decided.phase) == ("reply_noted", Phase.THINKING)


def test_a_reply_to_a_stranger_goes_to_the_recipient_it_names() -> None:
    talk = Talk()

    talk.reply("oi", recipient=Person(wa_id="551199"))

    assert talk.of(OutboundRequested)[-1].recipient == Person(wa_id="551199")


def test_a_reply_without_words_is_refused_and_takes_nothing() -> None:
    decided = thinking().reply(" ")

    assert (decided.decision, decided.reason) == ("reply_refused", "no_text")
    assert decided.phase is Phase.THINKING


def test_a_long_reply_is_cut_into_bubbles() -> None:
    talk = with_human()

    talk.reply("a" * (BUBBLE_CHARS + 1))

    assert [len(text) for text in talk.texts if text is not None] == [BUBBLE_CHARS, 1]


def test_messages_wait_for_the_end_of_a_pause() -> None:
    talk = thinking()
    paused = talk.control(Command.PAUSE, until=T0 + HOUR)
    held = talk.hear("w2", "quanto custa?")
    assert (paused.phase, held.decision, held.outcomes) == (Phase.PAUSED, "held", ())

    decided = talk.fire("pause")

    assert (decided.decision, decided.phase) == ("released", Phase.THINKING)
    assert talk.of(HandoffRequested)[0].wamids == ("w2",)


def test_the_ai_is_silent_in_a_closed_conversation_that_is_paused() -> None:
    """A close alone lets the customer's next message open it for the AI again."""
    talk = with_human()
    talk.control(Command.CLOSE)

    paused = talk.control(Command.PAUSE, until=T0 + HOUR)
    held = talk.hear("w2", "quanto custa?")

    assert (paused.phase, held.decision) == (Phase.PAUSED, "held")
    talk.fire("pause")
    assert talk.started[-1].wamids == ("w2",)


def test_messages_wait_for_the_end_of_a_pause_that_is_made_longer() -> None:
    talk = Talk()
    talk.control(Command.PAUSE, until=T0 + HOUR)
    talk.hear("w1", "quanto custa?")
    talk.now += HOUR // 2

    longer = talk.control(Command.PAUSE, until=T0 + 2 * HOUR)

    assert (longer.decision, longer.outcomes) == ("paused", ())
    talk.fire("pause")
    assert (talk.now, talk.started[-1].wamids) == (T0 + 2 * HOUR, ("w1",))


def test_what_no_turn_has_taken_waits_for_the_end_of_a_pause_as_well() -> None:
    """Nobody has it: the AI is silent, and no person was called."""
    talk = Talk()
    talk.hear("w1", "oi")
    talk.hear("w2", "quanto custa?")

    paused = talk.control(Command.PAUSE, until=T0 + HOUR)

    assert (paused.phase, paused.outcomes) == (Phase.PAUSED, ())
    talk.fire("pause")
    assert talk.started[-1].wamids == ("w1", "w2")


def test_what_waits_for_the_end_of_a_pause_is_peoples_when_it_gets_none() -> None:
    talk = Talk()
    talk.control(Command.PAUSE, until=T0 + HOUR)
    talk.hear("w1", "quanto custa?")

    endless = talk.control(Command.PAUSE)

    assert [(each.wamid, each.kind) for each in endless.outcomes] == [("w1", OutcomeKind.HANDED)]
    assert talk.it.pending == ()


def test_a_person_who_pauses_the_ai_keeps_the_ticket_until_it_goes_on() -> None:
    talk = thinking()
    talk.control(Command.TAKEOVER)

    paused = talk.control(Command.PAUSE, until=T0 + HOUR, agent_user=None)

    assert (paused.phase, paused.agent_user) == (Phase.PAUSED, "ana")
    assert talk.fire("pause").agent_user is None


def test_an_answer_that_fails_in_their_pause_is_theirs() -> None:
    talk = thinking()
    talk.respond("R$ 10")
    (answer,) = talk.of(OutboundRequested)
    talk.control(Command.TAKEOVER)
    talk.control(Command.PAUSE, until=T0 + HOUR)

    failed = talk.settle(answer, BubbleState.FAILED, "reported_failed")

    assert (failed.phase, failed.agent_user) == (Phase.WITH_HUMAN, "ana")


def test_a_flood_in_their_pause_leaves_it_with_them_until_an_operator_lets_it_go_on() -> None:
    talk = thinking()
    talk.control(Command.TAKEOVER)
    talk.control(Command.PAUSE, until=T0 + HOUR)
    for number in range(60):
        talk.hear(f"more{number}")
    assert (talk.it.phase, talk.it.agent_user) == (Phase.PARKED, "ana")

    unparked = talk.control(Command.UNPARK)

    assert (unparked.phase, unparked.agent_user) == (Phase.IDLE, None)


def test_a_pause_that_is_over_already_twice_is_two_pauses() -> None:
    """The end of each has an id of its own: what follows from it is said each time."""
    talk = Talk(with_settings(handoff_words=("ajuda",)))
    notices = []
    for wamid in ("w1", "w2"):
        talk.control(Command.RELEASE)
        talk.control(Command.PAUSE, until=T0 - HOUR)
        talk.now += 1000
        talk.hear(wamid, "ajuda")
        talk.fire("pause")
        notices += [each.bubble_id for each in talk.of(OutboundRequested) if each.text]

    assert len(set(notices)) == len(notices) == 2


def test_messages_of_a_pause_without_end_are_for_people() -> None:
    talk = Talk()
    talk.hear("w1")
    talk.control(Command.PAUSE)

    decided = talk.hear("w2", "quanto custa?")

    assert [(each.kind, each.reason) for each in decided.outcomes] == [
        (OutcomeKind.HANDED, "paused")
    ]


def test_a_person_who_answers_in_a_pause_has_answered_what_waits() -> None:
    talk = Talk()
    talk.hear("w1")
    talk.control(Command.PAUSE, until=T0 + HOUR)
    talk.hear("w2", "quanto custa?")

    decided = talk.reply("R$ 10")

    assert [(each.wamid, each.reason) for each in decided.outcomes] == [
        ("w1", "human_replied"),
        ("w2", "human_replied"),
    ]
    assert decided.phase is Phase.PAUSED


def test_a_message_opens_a_closed_conversation_again() -> None:
    talk = thinking()
    closed = talk.control(Command.CLOSE)

    decided = talk.hear("w2", "mais uma coisa")

    assert (closed.phase, closed.outcomes[0].kind) == (Phase.CLOSED, OutcomeKind.HANDED)
    assert (decided.phase, decided.reason) == (Phase.GATHERING, "reopened")


def test_the_ai_can_be_heard_in_a_conversation_that_was_closed_and_opened_again() -> None:
    talk = thinking()
    talk.control(Command.CLOSE)
    (marker,) = talk.of(OutboundRequested)
    talk.hear("w2", "mais uma coisa")
    talk.fire("burst")

    talk.respond("Diga!")

    (answer,) = talk.of(OutboundRequested)
    assert (answer.author, answer.epoch) == (Author.AI, marker.epoch)


def test_a_close_of_what_a_person_has_says_nothing_more_to_the_gate() -> None:
    talk = with_human()
    talk.reply("Resolvido!")

    talk.control(Command.CLOSE)

    assert talk.of(OutboundRequested) == []


def test_a_flood_is_parked_and_a_person_called_until_an_operator_lets_it_go_on() -> None:
    talk = Talk()
    decided = [talk.hear(f"w{number}", "a") for number in range(52)]

    assert (decided[50].decision, decided[50].reason) == ("parked", "flood")
    assert {each.kind for each in decided[50].outcomes} == {OutcomeKind.PARKED}
    assert len(decided[50].outcomes) == 51
    assert [each.kind for each in decided[51].outcomes] == [OutcomeKind.PARKED]
    (call,) = [each for each in talk.said if isinstance(each, HandoffRequested)]
    assert (call.to_agent, call.reason, len(call.wamids)) == ("human", "flood", 51)
    (told,) = [each for each in talk.said if isinstance(each, OutboundRequested)]
    assert (told.author, told.text) == (Author.AUTOMATION, NOTICE)
    assert talk.control(Command.UNPARK).phase is Phase.IDLE
    assert talk.hear("w99", "oi").phase is Phase.GATHERING


def test_more_words_than_a_turn_may_hold_go_to_a_person() -> None:
    talk = Talk()
    decided = [talk.hear(f"w{number}", "a" * 4000) for number in range(5)]

    assert decided[-1].reason == "too_long"
    assert len(decided[-1].outcomes) == 5
