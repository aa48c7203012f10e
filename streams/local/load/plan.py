"""What is sent in one load: conversations and their messages, all from one seed. Pure."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from schemas.events import OutcomeKind

QUESTIONS: Final = (
    "Qual é o prazo de entrega?",
    "Vocês entregam em todo o Brasil?",
    "Qual é o horário de atendimento da loja?",
    "Quais são as formas de pagamento?",
    "Vocês aceitam PIX?",
)
ORDERS: Final = (
    "Onde está o meu pedido 1001?",
    "Qual é o status do pedido 1002?",
    "Quando chega o pedido 1003?",
)
WANTS_PERSON: Final = "Quero falar com um atendente, por favor."
EMOJI: Final = "👍"


class Sort(StrEnum):
    """What a message of the load is."""

    QUESTION = "question"
    ORDER = "order"
    WANTS_PERSON = "wants_person"
    REACTION = "reaction"
    DUPLICATE = "duplicate"
    TICKET = "ticket"


WEIGHTS: Final = {Sort.QUESTION: 60, Sort.ORDER: 20, Sort.REACTION: 10, Sort.DUPLICATE: 10}
PERSON_EVERY: Final = 20
"""One conversation in so many ends with a customer who asks for a person."""

FIRST_NUMBER: Final = 5_500_000_000_000
"""Below every number that Brazil's plan gives: 55, area code 00."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One message to send.

    Attributes:
        customer: Digits of the customer's invented phone number.
        sequence: Place in its conversation, from 1; its text holds it.
        wamid: WhatsApp's id of it; that of an earlier message for a duplicate.
        sort: What it is.
        text: What the customer writes; empty for a reaction.
        target: The message that a reaction is about.
        expects: How it may end.
    """

    customer: str
    sequence: int
    wamid: str
    sort: Sort
    text: str
    target: str
    expects: frozenset[OutcomeKind]


ANSWERED: Final = frozenset({OutcomeKind.ANSWERED})
IGNORED: Final = frozenset({OutcomeKind.IGNORED})
HANDED: Final = frozenset({OutcomeKind.HANDED})


def plan(conversations: int, messages: int, *, run: str, seed: int) -> list[list[Outgoing]]:
    """Return the messages of each conversation, in the order of sending.

    Args:
        conversations: How many customers write at once.
        messages: Messages in all, spread evenly.
        run: Name of this load; customers and ids of two loads differ by it.
        seed: Kinds and texts follow from it.
    """
    chance = random.Random(seed)  # noqa: S311 - a plan, not a secret
    first = _first_customer(run)
    shares = [
        messages // conversations + (i < messages % conversations) for i in range(conversations)
    ]
    return [
        list(_conversation(str(first + i), share, run, chance, person=i % PERSON_EVERY == 0))
        for i, share in enumerate(shares)
        if share
    ]


def _first_customer(run: str) -> int:
    digest = hashlib.blake2b(run.encode(), digest_size=4).digest()
    return FIRST_NUMBER + int.from_bytes(digest) % 900_000 * 10_000


def _conversation(
    customer: str, share: int, run: str, chance: random.Random, *, person: bool
) -> Iterator[Outgoing]:
    sent: list[Outgoing] = []
    for sequence in range(1, share + 1):
        sort = Sort.WANTS_PERSON if person and sequence == share else _sort(sent, chance)
        message = _message(customer, sequence, run, chance, sort, sent, person=person)
        if sort is not Sort.DUPLICATE:
            sent.append(message)
        yield message


def _sort(sent: list[Outgoing], chance: random.Random) -> Sort:
    """Choose what comes next; a first message cannot repeat or react to another."""
    if not sent:
        return Sort.QUESTION
    return chance.choices(tuple(WEIGHTS), tuple(WEIGHTS.values()))[0]


def _message(  # noqa: PLR0913 - all of one message
    customer: str,
    sequence: int,
    run: str,
    chance: random.Random,
    sort: Sort,
    sent: list[Outgoing],
    *,
    person: bool,
) -> Outgoing:
    if sort is Sort.DUPLICATE:
        return chance.choice(sent)
    texts = {
        Sort.QUESTION: chance.choice(QUESTIONS),
        Sort.ORDER: chance.choice(ORDERS),
        Sort.WANTS_PERSON: WANTS_PERSON,
    }
    expects = {Sort.REACTION: IGNORED, Sort.WANTS_PERSON: HANDED}
    # A question may still be waiting when its customer asks for a person, who then gets both.
    asked = ANSWERED | HANDED if person else ANSWERED
    return Outgoing(
        customer=customer,
        sequence=sequence,
        wamid=f"wamid.load-{run}-{customer}-{sequence}",
        sort=sort,
        text=f"{texts[sort]} (#{sequence})" if sort in texts else "",
        target=sent[-1].wamid if sort is Sort.REACTION else "",
        expects=expects.get(sort, asked),
    )


def message_object(message: Outgoing, at_ms: int) -> dict[str, Any]:
    """Return the message as WhatsApp writes it into a webhook."""
    common = {"from": message.customer, "id": message.wamid, "timestamp": str(at_ms // 1000)}
    if message.target:
        reaction = {"message_id": message.target, "emoji": EMOJI}
        return {**common, "type": "reaction", "reaction": reaction}
    return {**common, "type": "text", "text": {"body": message.text}}
