from __future__ import annotations

import pytest

from agents.core.dispatch_turns import TURN_LIMIT_MS
from schemas.changing import replace
from schemas.events import (
    HandoffRequested,
    MessageKind,
    Outcome,
    OutcomeKind,
    Person,
    Phase,
    TurnKind,
)
from schemas.ids import derived
from tests.agents.dispatch.talk import (
    MARIA,
    T0,
    Talk,
    message,
    thinking,
    with_settings,
)

HOUR = 3_600_000


def test_a_burst_is_one_turn() -> None:
    talk = Talk()
    talk.hear("w1", "oi")
    talk.now += 1000
    talk.hear("w2", "quanto custa")
    talk.now += 1000
    talk.hear("w3", "o tênis azul?")

    decided = talk.fire("burst")

    (turn,) = talk.of(HandoffRequested)
    assert decided.decision == "turn_started"
    assert turn.kind is TurnKind.START
    assert turn.to_agent == "sales"
    assert turn.reason == "intent:product"
    assert turn.wamids == ("w1", "w2", "w3")
    assert turn.question == "oi\nquanto custa\no tênis azul?"
    assert turn.trace_id == talk.history[0].trace_id
    assert turn.customer_name == "Maria"
    assert talk.it.timers == {"turn": talk.now + TURN_LIMIT_MS}


def test_each_message_extends_the_burst_but_not_beyond_its_longest_time() -> None:
    talk = Talk(with_settings(burst_adapts=False))
    due = []
    for number in range(8):
        talk.now = T0 + number * 1400
        talk.hear(f"w{number}", "mais")
        due.append(talk.it.timers["burst"] - T0)

    assert due == [1500, 2900, 4300, 5700, 7100, 8000, 8000, 8000]


def test_a_burst_timer_that_was_moved_is_ignored() -> None:
    talk = Talk()
    talk.hear("w1")
    first = talk.it
    talk.now += 100
    talk.hear("w2")
    moved, talk.state = talk.it, first
    timer = talk.fired("burst")
    talk.state = moved

    decided = talk.apply(timer)

    assert (decided.decision, decided.reason) == ("timer_ignored", "not_due")
    assert talk.it == replace(moved, seq=3)


def test_without_a_quiet_time_the_turn_starts_at_once() -> None:
    talk = Talk(with_settings(burst_quiet_ms=0))

    decided = talk.hear("w1", "oi")

    assert decided.decision == "turn_started"
    assert decided.phase is Phase.THINKING


def test_a_repeated_message_changes_nothing() -> None:
    talk = thinking()
    before = talk.it

    decided = talk.hear("w1", "quanto custa?")

    assert decided.decision == "duplicate_ignored"
    assert decided.outcomes == ()
    assert len(talk.effects) == 1
    assert talk.it == replace(before, seq=before.seq + 1)


def test_a_repetition_within_a_week_is_known() -> None:
    talk = thinking()
    talk.respond("R$ 10")
    talk.now += 7 * 24 * HOUR

    assert talk.hear("w1", "quanto custa?").decision == "duplicate_ignored"


def test_one_wamid_at_two_business_numbers_is_two_messages() -> None:
    talk = Talk()
    talk.hear("w1")

    decided = talk.apply(
        replace(message("w1"), phone_number_id="other", event_id=derived("another record"))
    )

    assert decided.decision == "gathering"


@pytest.mark.parametrize(
    ("kind", "text", "answerable", "reason"),
    [
        (MessageKind.REACTION, None, True, "kind:reaction"),
        (MessageKind.SYSTEM, "mudou de número", True, "kind:system"),
        (MessageKind.UNSUPPORTED, None, True, "kind:unsupported"),
        (MessageKind.UNSUPPORTED, "  ", True, "kind:unsupported"),
        (MessageKind.TEXT, "", True, "kind:text"),
        (MessageKind.UNKNOWN, None, True, "kind:unknown"),
        (MessageKind.EDIT, "quis dizer", True, "kind:edit"),
        (MessageKind.REVOKE, None, True, "kind:revoke"),
        # A history follow-up is never answered, whatever it says.
        (MessageKind.TEXT, "quanto custa?", False, "not_answerable"),
    ],
)
def test_what_wants_no_answer_is_ignored_with_a_reason(
    kind: MessageKind, text: str | None, answerable: bool, reason: str
) -> None:
    talk = Talk()

    decided = talk.hear("w1", text, kind=kind, answerable=answerable)

    assert decided.decision == "ignored"
    assert decided.outcomes == (Outcome(wamid="w1", kind=OutcomeKind.IGNORED, reason=reason),)
    assert decided.phase is Phase.IDLE
    assert decided.unread == 0


@pytest.mark.parametrize(
    ("kind", "text", "question"),
    [
        (MessageKind.AUDIO, None, "[áudio]"),
        (MessageKind.IMAGE, "serve este?", "[imagem] serve este?"),
        (MessageKind.STICKER, None, "[figurinha]"),
        (MessageKind.BUTTON, "Sim", "Sim"),
        (MessageKind.INTERACTIVE, "Tênis azul", "Tênis azul"),
        # Unsupported with words is a message like any other.
        (MessageKind.UNSUPPORTED, "olá", "olá"),
    ],
)
def test_what_has_no_words_is_named_to_the_agent(
    kind: MessageKind, text: str | None, question: str
) -> None:
    talk = Talk()
    talk.hear("w1", text, kind=kind)

    talk.fire("burst")

    assert talk.of(HandoffRequested)[0].question == question


def test_an_edit_changes_what_still_waits() -> None:
    talk = Talk()
    talk.hear("w1", "quero dois")
    talk.hear("w2", "quero três", kind=MessageKind.EDIT, target_wamid="w1")

    talk.fire("burst")

    assert talk.of(HandoffRequested)[0].question == "quero três"


def test_a_revoked_message_is_not_answered() -> None:
    talk = Talk()
    talk.hear("w1", "mensagem errada")

    decided = talk.hear("w2", None, kind=MessageKind.REVOKE, target_wamid="w1")

    assert decided.phase is Phase.IDLE
    assert decided.unread == 0
    assert {(each.wamid, each.reason) for each in decided.outcomes} == {
        ("w1", "revoked"),
        ("w2", "kind:revoke"),
    }


@pytest.mark.parametrize(
    ("sent_ago_ms", "left_ms"),
    [
        (0, 24 * HOUR),
        (2 * HOUR, 22 * HOUR),  # a late delivery: the window is shorter
        (25 * HOUR, -1 * HOUR),  # a very late one: it is closed already
        (-10 * 60_000, 24 * HOUR),  # a clock that runs ahead does not lengthen it
        (20_000 * 24 * HOUR, 24 * HOUR),  # 1970: not late, but wrong
    ],
)
def test_the_window_is_counted_from_whatsapps_time(sent_ago_ms: int, left_ms: int) -> None:
    talk = Talk()

    decided = talk.hear("w1", sent_at=T0 - sent_ago_ms)

    assert decided.window_expires_at == T0 + left_ms - 5 * 60_000


def test_an_older_message_does_not_shorten_the_window() -> None:
    talk = Talk()
    first = talk.hear("w1", sent_at=T0)

    assert talk.hear("w0", sent_at=T0 - HOUR).window_expires_at == first.window_expires_at


@pytest.mark.parametrize(
    "kind", [MessageKind.UNSUPPORTED, MessageKind.UNKNOWN, MessageKind.REACTION]
)
def test_a_message_that_is_not_answered_opens_the_window_as_well(kind: MessageKind) -> None:
    """WhatsApp lets a person answer it, so the gate must not refuse to."""
    talk = Talk()
    talk.hear("w1")
    talk.now += 25 * HOUR

    decided = talk.hear("w2", None, kind=kind)

    assert decided.window_expires_at == talk.now + 24 * HOUR - 5 * 60_000


@pytest.mark.parametrize(
    ("kind", "answerable"),
    [
        (MessageKind.SYSTEM, True),
        (MessageKind.EDIT, True),
        (MessageKind.REVOKE, True),
        (MessageKind.TEXT, False),
    ],
)
def test_what_is_no_message_of_the_customer_opens_no_window(
    kind: MessageKind, *, answerable: bool
) -> None:
    talk = Talk()

    assert talk.hear("w1", kind=kind, answerable=answerable).window_expires_at is None


def test_what_another_system_pushes_opens_no_window_and_makes_none_longer() -> None:
    talk = Talk()

    pushed = talk.hear("ext:crm:1", "Cadê meu pedido?")
    written = talk.hear("w1")
    talk.now += HOUR
    again = talk.hear("ext:crm:2", "Cadê?")

    assert pushed.window_expires_at is None
    assert again.window_expires_at == written.window_expires_at


def test_what_another_system_pushes_says_nothing_of_a_customer_whom_whatsapp_names() -> None:
    """A shop may still know the number that the customer had before."""
    talk = Talk()
    talk.hear("w1")

    talk.hear("ext:crm:1", sender=Person(wa_id="5511900000000", name="Cliente 77"))

    assert talk.it.person == MARIA


def test_a_customer_who_never_wrote_is_answered_where_another_system_says() -> None:
    talk = Talk()
    pushed = Person(wa_id="5511900000000", name="Cliente 77")
    talk.hear("ext:crm:1", sender=pushed)
    known = talk.it.person

    talk.hear("w1")

    assert (known, talk.it.person) == (pushed, MARIA)


def test_a_message_without_a_profile_takes_no_name_away() -> None:
    talk = Talk()
    talk.hear("w1")

    talk.hear("w2", sender=Person(wa_id="5511911111111"))

    assert talk.it.person == Person(wa_id="5511911111111", name="Maria")
