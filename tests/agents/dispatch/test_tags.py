from __future__ import annotations

import pytest

from schemas.events import Command, OutboundKind, OutboundRequested, OutcomeKind, Phase
from tests.agents.dispatch.talk import T0, Talk, thinking, with_settings

TAG = "atendimento-humano"
HOUR = 3_600_000
TAGGED = with_settings(takeover_tags=(TAG, "vip"), human_silence_minutes=30)


def test_a_tag_that_the_tenant_names_takes_the_conversation_over() -> None:
    talk = thinking(settings=TAGGED)

    decided = talk.control(Command.TAG, tag=TAG)

    assert (decided.decision, decided.reason) == ("taken_over", "tag")
    assert (decided.phase, decided.takeover_pending) == (Phase.WITH_HUMAN, True)
    (marker,) = talk.of(OutboundRequested)
    assert marker.kind is OutboundKind.MARKER
    assert [each.kind for each in decided.outcomes] == [OutcomeKind.HANDED]


@pytest.mark.parametrize("tag", ["Atendimento-Humano", " ATENDIMENTO-HUMANO "])
def test_tags_are_compared_without_case(tag: str) -> None:
    talk = Talk(TAGGED)

    assert talk.control(Command.TAG, tag=tag).decision == "taken_over"


@pytest.mark.parametrize("tag", ["", "orçamento", "atendimento"])
def test_other_tags_mean_nothing(tag: str) -> None:
    talk = thinking(settings=TAGGED)

    decided = talk.control(Command.TAG, tag=tag)

    assert (decided.decision, decided.reason) == ("tag_ignored", "not_configured")
    assert decided.phase is Phase.THINKING


def test_taking_it_off_gives_the_conversation_back() -> None:
    talk = thinking(settings=TAGGED)
    talk.control(Command.TAG, tag=TAG)

    decided = talk.control(Command.UNTAG, tag=TAG)

    assert (decided.decision, decided.reason, decided.phase) == ("released", "untag", Phase.IDLE)


def test_the_last_tag_that_holds_it_gives_it_back() -> None:
    talk = Talk(TAGGED)
    talk.control(Command.TAG, tag=TAG)
    talk.control(Command.TAG, tag="vip")

    assert talk.control(Command.UNTAG, tag=TAG).phase is Phase.WITH_HUMAN
    assert talk.control(Command.UNTAG, tag="vip").phase is Phase.IDLE


def test_a_tag_of_nobody_known_leaves_the_ticket_with_whoever_has_it() -> None:
    talk = thinking(settings=TAGGED)
    talk.control(Command.TAKEOVER)

    decided = talk.control(Command.TAG, tag=TAG, agent_user=None)

    assert decided.agent_user == "ana"


def test_a_tag_that_holds_it_beyond_a_pause_leaves_it_with_whoever_has_it() -> None:
    talk = thinking(settings=TAGGED)
    talk.control(Command.TAKEOVER)
    talk.control(Command.PAUSE, until=T0 + HOUR)
    talk.control(Command.TAG, tag=TAG)

    assert talk.fire("pause").agent_user == "ana"


def test_taking_off_a_tag_that_did_not_take_over_releases_nobody() -> None:
    talk = Talk(TAGGED)
    talk.control(Command.TAKEOVER)

    decided = talk.control(Command.UNTAG, tag=TAG)

    assert (decided.decision, decided.reason) == ("untag_ignored", "not_tagged")
    assert decided.phase is Phase.WITH_HUMAN


def test_a_tag_holds_the_conversation_whatever_the_silence() -> None:
    talk = Talk(TAGGED)
    talk.control(Command.TAG, tag=TAG)
    handed = talk.hear("w1", "oi?")

    assert talk.it.timers == {}
    assert handed.decision == "handed"


def test_a_tag_holds_the_conversation_beyond_a_pause() -> None:
    talk = Talk(TAGGED)
    talk.control(Command.TAG, tag=TAG)
    talk.control(Command.PAUSE, until=T0 + HOUR)

    decided = talk.fire("pause")

    assert (decided.phase, decided.reason) == (Phase.WITH_HUMAN, "tag")


def test_a_pause_lasts_beyond_a_tag() -> None:
    talk = Talk(TAGGED)
    talk.control(Command.PAUSE, until=T0 + HOUR)
    talk.control(Command.TAG, tag=TAG)
    talk.hear("w1", "quanto custa?")

    decided = talk.control(Command.UNTAG, tag=TAG)

    assert (decided.decision, decided.phase) == ("untagged", Phase.PAUSED)
    assert talk.fire("pause").phase is Phase.THINKING
    assert talk.now == T0 + HOUR


def test_a_pause_without_end_lasts_beyond_a_tag_until_a_release() -> None:
    talk = Talk(TAGGED)
    talk.control(Command.PAUSE)
    talk.control(Command.TAG, tag=TAG)

    assert talk.control(Command.UNTAG, tag=TAG).phase is Phase.PAUSED
    assert talk.control(Command.RELEASE).phase is Phase.IDLE


def test_a_tag_that_is_put_on_in_a_pause_holds_the_conversation_beyond_it() -> None:
    talk = Talk(TAGGED)
    talk.control(Command.PAUSE, until=T0 + HOUR)

    tagged = talk.control(Command.TAG, tag=TAG)

    assert (tagged.decision, tagged.reason) == ("tagged", "phase:paused")
    decided = talk.fire("pause")
    assert (decided.phase, decided.reason) == (Phase.WITH_HUMAN, "tag")


def test_a_tag_holds_the_conversation_beyond_a_flood() -> None:
    talk = Talk(TAGGED)
    talk.control(Command.TAG, tag=TAG)
    talk.control(Command.PAUSE, until=T0 + HOUR)
    for number in range(52):
        talk.hear(f"w{number}", "a")
    assert talk.it.phase is Phase.PARKED

    assert talk.control(Command.UNPARK).phase is Phase.WITH_HUMAN


@pytest.mark.parametrize("command", [Command.RELEASE, Command.CLOSE])
def test_a_person_who_ends_it_ends_the_tag_too(command: Command) -> None:
    talk = Talk(TAGGED)
    talk.control(Command.TAG, tag=TAG)
    talk.control(command)

    decided = talk.control(Command.UNTAG, tag=TAG)

    assert (decided.decision, decided.reason) == ("untag_ignored", "not_tagged")


def test_the_same_request_twice_is_one() -> None:
    talk = Talk(TAGGED)
    talk.control(Command.TAG, "r1", tag=TAG)

    assert talk.control(Command.TAG, "r1", tag=TAG).decision == "duplicate_ignored"


def test_a_tenant_that_took_the_tag_from_its_settings_can_still_take_it_off() -> None:
    talk = Talk(TAGGED)
    talk.control(Command.TAG, tag=TAG)
    talk.settings = with_settings()

    assert talk.control(Command.UNTAG, tag=TAG).phase is Phase.IDLE


def test_two_tags_that_are_asked_under_one_key_are_two() -> None:
    """Whoever names what is asked by their ticket may put several tags on it."""
    talk = thinking(settings=TAGGED)
    talk.control(Command.TAG, "ticket-7", tag="orçamento")

    assert talk.control(Command.TAG, "ticket-7", tag=TAG).decision == "taken_over"
    assert talk.control(Command.TAG, "ticket-7", tag=TAG).decision == "duplicate_ignored"
