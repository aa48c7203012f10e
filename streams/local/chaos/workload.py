"""What customers and people do in one chaos run, all from one seed. Pure.

Customers write in bursts: one to four messages within a second, then silence. Some ask for what
a tool changes outside. In one conversation of ten a person takes over, answers, and mostly gives
it back. Every message has an id of its own and a number in its conversation.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from schemas.changing import replace
from schemas.events import Command, OutcomeKind
from streams.local.load.plan import ORDERS, QUESTIONS, WANTS_PERSON, Outgoing, Sort

TICKETS: Final = (
    "Quero fazer uma troca, a camiseta veio com defeito.",
    "Quero o reembolso, o tênis veio quebrado.",
)
"""What makes the scripted model open a service request: a tool that changes something."""

WEIGHTS: Final = {
    Sort.QUESTION: 50,
    Sort.ORDER: 20,
    Sort.TICKET: 12,
    Sort.REACTION: 8,
    Sort.DUPLICATE: 10,
}
BURSTS: Final = (1, 1, 2, 2, 3, 4)
"""Messages of a burst, each size as likely as it stands here."""

GAP_S: Final = (0.05, 0.6)
PEOPLE_EVERY: Final = 10
"""A person takes over one conversation in so many."""
WANTS_EVERY: Final = 20
"""One customer in so many asks for a person in the end."""
RELEASED: Final = 0.7
FIRST_NUMBER: Final = 5_500_000_000_000
"""Below every number that Brazil's plan gives: 55, area code 00."""

ENDS: Final = frozenset({OutcomeKind.ANSWERED, OutcomeKind.HANDED})
"""How a message that wants an answer may end while things break."""
FLOOD: Final = frozenset({OutcomeKind.PARKED})
"""More than a conversation may hold is set aside: the policy for a customer who never stops."""
SORTS: Final = {
    Sort.REACTION: frozenset({OutcomeKind.IGNORED}),
    Sort.WANTS_PERSON: frozenset({OutcomeKind.HANDED}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A customer writes.

    Attributes:
        due_s: Seconds from the beginning of the run.
        message: What is written.
        alone: Whether nobody but the AI has a part in this conversation.
    """

    due_s: float
    message: Outgoing
    alone: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A person asks something of a conversation.

    Attributes:
        due_s: Seconds from the beginning of the run.
        customer: Whose conversation it is.
        command: What is asked; None is a reply.
        request_id: The idempotency key.
    """

    due_s: float
    customer: str
    command: Command | None
    request_id: str


Act = Write | Ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """How much is done.

    Attributes:
        run: Name of the run; customers and ids of two runs differ by it.
        seed: Everything else follows from it.
        conversations: Customers.
        messages: Messages in all.
        rate: Messages a second, on average.
        hot: Share of all messages that the first customer writes.
    """

    run: str
    seed: int
    conversations: int
    messages: int
    rate: float
    hot: float = 0.0

    @property
    def span_s(self) -> float:
        """Seconds in which everything is sent."""
        return self.messages / self.rate

    @property
    def marker(self) -> str:
        """A word in every text of the run; found anywhere else it has leaked."""
        return f"zqx{self.run}"

    @property
    def name(self) -> str:
        """Profile name of every customer of the run; found anywhere else it has leaked."""
        return f"Zuleica Q{self.run}"


def workload(crowd: Crowd) -> list[list[Act]]:
    """Return what happens in each conversation, in order."""
    shares = _shares(crowd)
    return [_conversation(crowd, number, share) for number, share in enumerate(shares) if share]


def phone_prefix(crowd: Crowd) -> str:
    """Return the digits with which the phone numbers of all customers of the run begin."""
    return _customer(crowd, 0)[:-4]


def _shares(crowd: Crowd) -> list[int]:
    hot = int(crowd.messages * crowd.hot)
    rest, count = crowd.messages - hot, crowd.conversations
    shares = [rest // count + (number < rest % count) for number in range(count)]
    shares[0] += hot
    return shares


def _customer(crowd: Crowd, number: int) -> str:
    digest = hashlib.blake2b(crowd.run.encode(), digest_size=4).digest()
    return str(FIRST_NUMBER + int.from_bytes(digest) % 900_000 * 10_000 + number)


def _conversation(crowd: Crowd, number: int, share: int) -> list[Act]:
    chance = random.Random(f"{crowd.seed}:{number}")  # noqa: S311 - a plan, not a secret
    people = number % PEOPLE_EVERY == PEOPLE_EVERY // 2
    wants = number % WANTS_EVERY == 0 and not crowd.hot
    flood = number == 0 and crowd.hot > 0
    customer = _customer(crowd, number)
    times = list(_times(crowd, share, chance))
    acts: list[Act] = []
    sent: list[Outgoing] = []
    for sequence, due_s in enumerate(times, 1):
        last = wants and sequence == share
        message = _message(crowd, customer, sequence, chance, sent, last=last)
        if flood:
            message = replace(message, expects=message.expects | FLOOD)
        if message.sort is not Sort.DUPLICATE:
            sent.append(message)
        acts.append(Write(due_s=due_s, message=message, alone=not (people or wants or flood)))
    asks = list(_asks(crowd, customer, chance, times[0])) if people else []
    return sorted([*acts, *asks], key=lambda act: act.due_s)


def _times(crowd: Crowd, share: int, chance: random.Random) -> Iterator[float]:
    sizes: list[int] = []
    while sum(sizes) < share:
        sizes.append(min(chance.choice(BURSTS), share - sum(sizes)))
    last = 0.0
    for begin, size in zip(
        sorted(chance.uniform(0, crowd.span_s) for _ in sizes), sizes, strict=True
    ):
        last = max(last, begin)
        for _ in range(size):
            yield last
            last += chance.uniform(*GAP_S)


def _message(
    crowd: Crowd,
    customer: str,
    sequence: int,
    chance: random.Random,
    sent: list[Outgoing],
    *,
    last: bool,
) -> Outgoing:
    sort = Sort.QUESTION if not sent else chance.choices(tuple(WEIGHTS), tuple(WEIGHTS.values()))[0]
    sort = Sort.WANTS_PERSON if last else sort
    texts = {
        Sort.QUESTION: chance.choice(QUESTIONS),
        Sort.ORDER: chance.choice(ORDERS),
        Sort.TICKET: chance.choice(TICKETS),
        Sort.WANTS_PERSON: WANTS_PERSON,
    }
    repeated = chance.choice(sent) if sort is Sort.DUPLICATE else None
    return Outgoing(
        customer=customer,
        sequence=repeated.sequence if repeated else sequence,
        wamid=repeated.wamid
        if repeated
        else f"wamid.chaos-{crowd.run}-{int(customer) % 10_000}-{sequence}",
        sort=sort,
        text=repeated.text if repeated else _text(texts.get(sort), crowd, sequence),
        target=repeated.target if repeated else sent[-1].wamid if sort is Sort.REACTION else "",
        expects=repeated.expects if repeated else SORTS.get(sort, ENDS),
    )


def _text(words: str | None, crowd: Crowd, sequence: int) -> str:
    return f"{words} [{crowd.marker} {sequence}]" if words else ""


def _asks(crowd: Crowd, customer: str, chance: random.Random, first_s: float) -> Iterator[Ask]:
    """A person takes over, answers, and gives back, each at a time of its own.

    There is nothing to take over before the customer's first message.
    """
    at_s = max(crowd.span_s * chance.uniform(0.15, 0.6), first_s + chance.uniform(*GAP_S))
    commands: list[Command | None] = [Command.TAKEOVER, None]
    if chance.random() < RELEASED:
        commands.append(Command.RELEASE)
    for number, command in enumerate(commands):
        yield Ask(
            due_s=at_s,
            customer=customer,
            command=command,
            request_id=f"chaos-{crowd.run}-{int(customer) % 10_000}-{number}",
        )
        at_s += chance.uniform(0.5, 4.0)
