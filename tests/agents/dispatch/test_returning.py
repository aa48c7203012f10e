"""Coming back from people: nobody came, or the person fell silent."""

from __future__ import annotations

from typing import Any

import pytest

from agents.core.dispatch_people import NOTICE
from agents.core.dispatch_return import LATE_RETURNS, LATE_STAYS
from agents.core.person_call import call_person
from schemas.events import (
    Author,
    BubbleState,
    Command,
    HandoffRequested,
    OutboundKind,
    OutboundRequested,
    OutcomeKind,
    Phase,
    ReplyOrigin,
    TurnKind,
)
from tests.agents.dispatch.talk import T0, Talk, message, thinking, with_settings

MINUTE = 60_000
PATIENT = with_settings(handoff_minutes=10)
SILENT = with_settings(human_silence_minutes=30)


def handed_over(**settings: Any) -> Talk:
    talk = Talk(with_settings(**{"handoff_minutes": 10, **settings}))
    talk.hear("w1", "quero falar com um atendente")
    return talk


def taken(**settings: Any) -> Talk:
    talk = Talk(with_settings(**{"human_silence_minutes": 30, **settings}))
    talk.hear("w1", "quanto custa?")
    talk.control(Command.TAKEOVER)
    return talk


# Nobody came


def test_without_the_setting_a_hand_over_waits_for_ever() -> None:
    talk = handed_over(handoff_minutes=0)

    assert talk.it.timers == {}


def test_when_nobody_came_the_customer_is_told_and_the_ai_goes_on() -> None:
    talk = handed_over()
    assert talk.it.timers == {"handoff": T0 + 10 * MINUTE}

    decided = talk.fire("handoff")

    assert (decided.decision, decided.reason) == ("handoff_returned", "no_person")
    assert decided.phase is Phase.IDLE
    assert talk.texts == [LATE_RETURNS]
    assert {each.author for each in talk.of(OutboundRequested)} == {Author.AUTOMATION}
    talk.hear("w2", "quanto custa o azul?")
    assert talk.fire("burst").decision == "turn_started"


def test_what_the_customer_wrote_meanwhile_is_answered_then() -> None:
    talk = handed_over()
    held = talk.hear("w2", "quanto custa o azul?")

    decided = talk.fire("handoff")

    assert (held.decision, held.outcomes) == ("held", ())
    assert (decided.decision, decided.phase) == ("handoff_returned", Phase.THINKING)
    assert talk.started[-1].wamids == ("w2",)
    talk.respond("R$ 10")
    assert talk.outcomes == {"w1": OutcomeKind.HANDED, "w2": OutcomeKind.ANSWERED}


def test_who_asks_for_a_person_again_stays_in_the_queue() -> None:
    talk = handed_over()
    talk.hear("w2", "cadê o atendente?")

    decided = talk.fire("handoff")

    assert (decided.decision, decided.phase) == ("handoff_stays", Phase.WITH_HUMAN)
    assert talk.texts == [LATE_STAYS]
    assert talk.outcomes["w2"] is OutcomeKind.HANDED
    assert talk.it.timers == {}


def test_a_tenant_may_let_the_conversation_stay() -> None:
    talk = handed_over(handoff_returns=False, handoff_late_text="Só mais um pouco.")
    handed = talk.hear("w2", "oi?")

    decided = talk.fire("handoff")

    assert (handed.decision, handed.outcomes[0].kind) == ("handed", OutcomeKind.HANDED)
    assert (decided.decision, decided.phase) == ("handoff_stays", Phase.WITH_HUMAN)
    assert talk.texts == ["Só mais um pouco."]
    (call,) = talk.of(HandoffRequested)
    assert (call.kind, call.to_agent, call.reason) == (TurnKind.START, "human", "no_person")
    assert talk.it.timers == {}


def test_where_the_ai_is_switched_off_the_conversation_stays() -> None:
    talk = handed_over()
    talk.hear("w2", "quanto custa?")
    talk.settings = with_settings(ai_enabled=False, handoff_minutes=10)

    assert talk.fire("handoff").decision == "handoff_stays"


@pytest.mark.parametrize("origin", [ReplyOrigin.CONSOLE, ReplyOrigin.PHONE_APP])
def test_a_person_who_writes_has_come(origin: ReplyOrigin) -> None:
    talk = handed_over()
    talk.hear("w2", "alguém?")
    timer = talk.fired("handoff")

    decided = talk.reply("Oi, aqui é a Ana", origin)

    assert [(each.wamid, each.reason) for each in decided.outcomes] == [("w2", "human_replied")]
    assert talk.it.timers == {}
    assert talk.apply(timer).decision == "timer_ignored"


def test_a_person_who_takes_it_has_come() -> None:
    talk = handed_over()

    talk.control(Command.TAKEOVER)

    assert talk.it.timers == {}
    assert talk.it.attended


def test_a_tenants_own_words_are_said() -> None:
    talk = handed_over(handoff_text="Um momento.", handoff_late_text="Voltei.")
    first = talk.texts

    talk.fire("handoff")

    assert (first, talk.texts) == (["Um momento."], ["Voltei."])


def test_the_usual_words_are_said_without() -> None:
    assert handed_over().texts == [NOTICE]


def failed_meanwhile(talk: Talk, command: Command, **more: Any) -> Talk:
    """A person or the helpdesk silences the AI, whose last answer then turns out not to arrive."""
    talk.hear("w1", "quanto custa?")
    talk.fire("burst")
    talk.respond("R$ 10")
    (bubble,) = (each for each in talk.of(OutboundRequested) if each.author is Author.AI)
    talk.settle(bubble, BubbleState.ACCEPTED)
    talk.control(command, **more)
    talk.control(Command.PAUSE, until=T0 + 240 * MINUTE)
    talk.settle(bubble, BubbleState.FAILED, "reported_failed", OutboundKind.REPORT)
    return talk


@pytest.mark.parametrize(
    ("command", "more"),
    [(Command.PAUSE, {}), (Command.TAG, {"tag": "humano"})],
)
def test_a_hand_over_in_a_pause_or_under_a_tag_stays_with_people(
    command: Command, more: dict[str, Any]
) -> None:
    settings = with_settings(handoff_minutes=10, takeover_tags=("humano",))
    talk = failed_meanwhile(Talk(settings), command, **more)
    handed = talk.hear("w2", "e o azul?")

    decided = talk.fire("handoff")

    assert talk.now < T0 + 240 * MINUTE
    assert (handed.decision, handed.outcomes[0].kind) == ("handed", OutcomeKind.HANDED)
    assert (decided.decision, decided.phase) == ("handoff_stays", Phase.WITH_HUMAN)
    assert talk.texts == [LATE_STAYS]
    assert talk.it.timers == {}


@pytest.mark.parametrize("command", [Command.RELEASE, Command.CLOSE])
def test_the_ai_goes_on_again_after_the_hand_overs_that_follow_such_a_one(
    command: Command,
) -> None:
    talk = failed_meanwhile(Talk(PATIENT), Command.PAUSE)
    talk.control(command)
    talk.hear("w2", "atendente")

    assert talk.fire("handoff").decision == "handoff_returned"


# The person fell silent


def test_without_the_setting_only_a_release_ends_a_takeover() -> None:
    talk = taken(human_silence_minutes=0)

    assert talk.it.timers == {}


def test_after_a_persons_silence_the_ai_goes_on() -> None:
    talk = taken()
    talk.reply("Vou ver e já volto")
    assert talk.it.timers == {"return": T0 + 30 * MINUTE}

    decided = talk.fire("return")

    assert (decided.decision, decided.reason) == ("released", "human_silent")
    assert (decided.phase, decided.owner) == (Phase.IDLE, None)
    (marker,) = talk.of(OutboundRequested)
    assert marker.kind is OutboundKind.MARKER


def test_each_word_of_the_person_counts_the_silence_anew() -> None:
    talk = taken()
    talk.now += 20 * MINUTE
    talk.reply("Ainda vendo")

    assert talk.it.timers == {"return": T0 + 50 * MINUTE}


def test_a_customer_who_writes_gives_the_person_the_whole_time() -> None:
    talk = taken()
    talk.reply("Pois não?")
    talk.now += 29 * MINUTE
    held = talk.hear("w2", "quanto custa o azul?")
    talk.now += 5 * MINUTE
    talk.hear("w3", "oi?")

    assert held.decision == "held"
    assert talk.it.timers == {"return": T0 + 59 * MINUTE}
    decided = talk.fire("return")
    assert (decided.phase, talk.started[-1].wamids) == (Phase.THINKING, ("w2", "w3"))


def test_what_waited_is_the_persons_when_they_answer() -> None:
    talk = taken()
    talk.hear("w2", "quanto custa o azul?")

    decided = talk.reply("R$ 10")

    # w1 waited for a turn when the person took over, w2 came after.
    assert [each.wamid for each in decided.outcomes] == ["w1", "w2"]
    assert {each.kind for each in decided.outcomes} == {OutcomeKind.HANDED}
    assert decided.unread == 0


def test_messages_of_the_turn_that_was_taken_over_are_not_asked_again() -> None:
    talk = thinking("faz o pedido", settings=SILENT)

    decided = talk.control(Command.TAKEOVER)

    # The turn may have done it already.
    assert [(each.wamid, each.kind) for each in decided.outcomes] == [("w1", OutcomeKind.HANDED)]
    talk.fire("return")
    assert len(talk.started) == 1


def test_a_hand_over_to_which_nobody_came_is_no_silence() -> None:
    talk = Talk(SILENT)
    talk.hear("w1", "quero um atendente")

    assert talk.it.timers == {}


def test_where_the_ai_is_switched_off_it_does_not_come_back() -> None:
    talk = taken()
    talk.hear("w2", "oi?")
    talk.settings = with_settings(ai_enabled=False, human_silence_minutes=30)

    decided = talk.fire("return")

    assert (decided.decision, decided.phase) == ("return_refused", Phase.WITH_HUMAN)
    assert set(talk.outcomes) == {"w1", "w2"}


def test_more_than_may_wait_is_the_persons() -> None:
    talk = taken()
    for number in range(2, 60):
        talk.hear(f"w{number}", "a")

    assert len(talk.outcomes) >= 50
    assert talk.it.phase is Phase.WITH_HUMAN
    talk.reply("oi")
    assert len(talk.outcomes) == 59


@pytest.mark.parametrize("command", [Command.RELEASE, Command.CLOSE, Command.PAUSE])
def test_every_way_out_ends_the_waiting(command: Command) -> None:
    talk = taken()
    talk.hear("w2", "quanto custa?")

    talk.control(command)

    assert "return" not in talk.it.timers
    talk.until_quiet()
    assert set(talk.outcomes) == {"w1", "w2"}


def test_what_waits_for_the_ai_waits_for_the_end_of_a_pause_too() -> None:
    talk = taken()
    talk.hear("w2", "quanto custa?")

    paused = talk.control(Command.PAUSE, until=T0 + 60 * MINUTE)

    assert paused.outcomes == ()
    talk.fire("pause")
    assert talk.started[-1].wamids == ("w1", "w2")


def test_a_stage_that_calls_a_person_leaves_the_ticket_with_whoever_has_it() -> None:
    talk = parked_by_the_gate(taken())

    assert talk.it.agent_user == "ana"


def test_a_setting_that_is_switched_off_while_a_person_has_it_leaves_nothing_waiting() -> None:
    talk = taken()
    talk.reply("Pois não?")
    talk.settings = with_settings()

    decided = talk.hear("w2", "quanto custa?")

    assert (decided.decision, talk.it.timers) == ("handed", {})


def test_after_a_return_the_gate_takes_the_ai_again() -> None:
    talk = taken()
    talk.hear("w2", "quanto custa?")
    talk.fire("return")
    (marker,) = (each for each in talk.of(OutboundRequested) if each.kind is OutboundKind.MARKER)

    talk.respond("R$ 10")

    (bubble,) = talk.of(OutboundRequested)
    assert bubble.epoch == marker.epoch
    assert talk.settle(bubble, BubbleState.ACCEPTED).decision == "bubble_accepted"


def parked_by_the_gate(talk: Talk) -> Talk:
    event = message("w1", at=talk.now)
    talk.apply(call_person(event, stage="outbound", parking_id="o.topic/3/7", now_ms=talk.now))
    return talk


def test_nobody_is_silent_where_a_stage_has_called_a_person() -> None:
    """The AI would answer into a gate that sends nothing, and the message would be answered."""
    talk = Talk(SILENT)
    talk.hear("w1", "quanto custa?")

    parked_by_the_gate(talk)
    handed = talk.hear("w2", "alguém?")

    assert set(talk.outcomes.values()) == {OutcomeKind.HANDED}
    assert handed.decision == "handed"
    assert (talk.it.phase, talk.it.timers) == (Phase.WITH_HUMAN, {})


def test_a_stage_that_calls_a_person_ends_the_silence_of_the_one_before() -> None:
    talk = parked_by_the_gate(taken())

    talk.hear("w2", "alguém?")

    assert talk.it.timers == {}


def test_the_silence_of_the_person_who_comes_then_is_counted() -> None:
    talk = parked_by_the_gate(Talk(SILENT))

    talk.reply("Oi, aqui é a Ana")

    assert talk.it.timers == {"return": T0 + 30 * MINUTE}
