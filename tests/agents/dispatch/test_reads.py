from __future__ import annotations

import pytest

from schemas.events import (
    Author,
    BubbleState,
    MessageKind,
    OutboundKind,
    OutboundRequested,
    ResponseOutcome,
)
from tests.agents.dispatch.talk import Talk, thinking, with_settings


def reads(talk: Talk) -> list[tuple[str | None, str | None, Author]]:
    asked = [each for each in talk.of(OutboundRequested) if each.kind is OutboundKind.READ]
    return [(each.read_wamid, each.turn_id, each.author) for each in asked]


def test_a_turn_that_starts_is_shown_to_the_customer() -> None:
    talk = thinking("oi", "tudo bem?")

    turn = talk.it.turn
    assert turn is not None
    assert reads(talk) == [(turn.messages[-1].wamid, turn.turn_id, Author.AI)]
    assert talk.it.awaiting == ()


def test_a_tenant_may_choose_not_to_show_it() -> None:
    talk = thinking("oi", settings=with_settings(read_receipts=False))

    assert talk.it.turn is not None
    assert reads(talk) == []


def test_only_what_came_through_whatsapp_can_be_shown_as_read() -> None:
    talk = Talk()
    talk.hear("w1", "oi")
    talk.hear("ext:crm:1", "Cadê meu pedido?")
    talk.fire("burst")
    assert [wamid for wamid, _, _ in reads(talk)] == ["w1"]
    talk.respond("Já vejo.")

    talk.hear("ext:crm:2", "Cadê?")
    talk.fire("burst")

    assert talk.it.turn is not None
    assert reads(talk) == []


def revoke(talk: Talk, *wamids: str) -> None:
    for wamid in wamids:
        talk.hear(f"r-{wamid}", None, kind=MessageKind.REVOKE, target_wamid=wamid)


def test_no_answer_is_shown_to_come_when_all_of_a_turn_is_revoked() -> None:
    talk = thinking("oi", "tudo bem?")
    turn = talk.it.turn
    assert turn is not None

    revoke(talk, "w1")
    assert reads(talk) == []
    revoke(talk, "w2")

    assert reads(talk) == [(None, turn.turn_id, Author.AI)]


@pytest.mark.parametrize("ended", [False, True])
def test_nor_when_all_is_revoked_after_a_newer_message_had_cancelled_the_turn(
    *, ended: bool
) -> None:
    talk = thinking("oi")
    talk.hear("w2", "tudo bem?")
    if ended:
        talk.respond(outcome=ResponseOutcome.CANCELLED)

    revoke(talk, "w1", "w2")

    assert [wamid for wamid, _, _ in reads(talk)] == [None]


def test_what_was_not_shown_is_not_ended() -> None:
    talk = Talk()
    talk.hear("w1", "oi")

    revoke(talk, "w1")

    assert reads(talk) == []
    silent = thinking("oi", settings=with_settings(read_receipts=False))
    revoke(silent, "w1")
    assert reads(silent) == []


@pytest.mark.parametrize("kind", [OutboundKind.MESSAGE, OutboundKind.REPORT])
def test_no_answer_is_shown_to_come_when_a_person_gets_it_without_a_word(
    kind: OutboundKind,
) -> None:
    talk = thinking("oi")
    talk.respond("Olá!")
    (bubble,) = talk.of(OutboundRequested)
    if kind is OutboundKind.REPORT:
        talk.settle(bubble, BubbleState.ACCEPTED)
    talk.hear("w2", "tudo bem?")
    talk.fire("burst")
    turn = talk.it.turn
    assert turn is not None

    talk.settle(bubble, BubbleState.FAILED, "undeliverable", kind)

    assert reads(talk) == [(None, turn.turn_id, Author.AI)]


def test_a_notice_ends_what_was_shown() -> None:
    talk = thinking("oi")
    talk.respond("Olá!")
    (bubble,) = talk.of(OutboundRequested)
    talk.hear("w2", "tudo bem?")
    talk.fire("burst")

    talk.settle(bubble, BubbleState.UNKNOWN, "timeout")

    assert reads(talk) == []
