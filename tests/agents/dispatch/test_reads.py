from __future__ import annotations

from schemas.events import Author, OutboundKind, OutboundRequested
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
