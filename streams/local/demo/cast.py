"""Who writes what in the demo, and how each message must end. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from schemas.events import MessageKind, OutcomeKind
from streams.local.demo.payloads import fresh, recorded
from streams.local.demo.shop import NUMBER
from streams.local.load.history import Sent
from streams.local.simulator.envelopes import received
from streams.whatsapp import Message, parse

SILENT: Final = frozenset(
    {
        MessageKind.REACTION,
        MessageKind.SYSTEM,
        MessageKind.EDIT,
        MessageKind.REVOKE,
    }
)
"""Kinds that want no answer, with or without words."""

WORDLESS: Final = frozenset({MessageKind.UNSUPPORTED, MessageKind.INTERACTIVE, MessageKind.BUTTON})
"""Kinds that want no answer when they bring no words."""

IGNORED: Final = frozenset({OutcomeKind.IGNORED})
SERVED: Final = frozenset({OutcomeKind.ANSWERED, OutcomeKind.HANDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One webhook body to post.

    Attributes:
        name: What it is, for the table.
        body: Its bytes.
        sent: The messages in it, and how each may end.
    """

    name: str
    body: bytes
    sent: tuple[Sent, ...]


def posts(run: str) -> list[Post]:
    """Return the recorded bodies, made new for a run."""
    found: list[Post] = []
    for place, each in enumerate(recorded(), 1):
        body = orjson.dumps(fresh(each, run))
        found.append(Post(name=each.name, body=body, sent=tuple(_sent(body, place))))
    return found


def _sent(body: bytes, place: int) -> Iterator[Sent]:
    for part in parse(body):
        if isinstance(part, Message) and part.identifiers and part.phone_number_id:
            who = f"{part.phone_number_id}:{part.identifiers[0]}"
            yield Sent(who, place, part.wamid, expected(part))


def expected(message: Message) -> frozenset[OutcomeKind]:
    """Return how a message may end: ignored, or served by the AI or a person."""
    content = message.content
    wordless = not (content.text or "").strip() and content.kind in WORDLESS
    silent = content.kind in SILENT or wordless or not message.answerable
    return IGNORED if silent else SERVED


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """A customer of the scene.

    Attributes:
        name: Profile name.
        phone: Invented number, digits; another one in each run.
    """

    name: str
    phone: str

    def says(self, text: str, sequence: int, kinds: frozenset[OutcomeKind], at_ms: int) -> Post:
        """Return the webhook body of a message."""
        wamid = f"wamid.demo-{self.phone}-{sequence}"
        message: dict[str, Any] = {
            "from": self.phone,
            "id": wamid,
            "timestamp": str(at_ms // 1000),
            "type": "text",
            "text": {"body": text},
        }
        body = orjson.dumps(received(NUMBER, message, name=self.name))
        sent = Sent(self.phone, sequence, wamid, kinds)
        return Post(name=f"{self.name}: {text}", body=body, sent=(sent,))


def customer(name: str, run: str) -> Customer:
    """Return a customer whom no run has met before."""
    digest = hashlib.blake2b(f"{run}:{name}".encode(), digest_size=8).digest()
    return Customer(name=name, phone=f"5502{int.from_bytes(digest) % 10**9:09d}")
