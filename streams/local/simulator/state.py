"""What a simulator knows, and how it answers a request to send."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from agents.ports import Clock
from streams.local.simulator.attachments import attached
from streams.local.simulator.book import Book, Entry, bubble_of
from streams.local.simulator.envelopes import received, wamid
from streams.local.simulator.journal import Journal
from streams.local.simulator.mailroom import Mailroom
from streams.local.simulator.meta import Meta
from streams.local.simulator.postman import Postman
from streams.local.simulator.redelivery import Redeliveries
from streams.local.simulator.refusals import Refusal
from streams.local.simulator.rules import (
    SHAPES,
    Attempt,
    Rule,
    addressee,
    has_token,
    has_uploaded,
    is_receipt,
    judge,
)
from streams.local.simulator.script import Kind, Script
from streams.local.simulator.shelf import Shelf
from streams.local.simulator.tokens import Tokens
from streams.local.simulator.webhook import Post, nowhere


class Simulator:
    """The state of one simulator: rules, book, statuses and the ids it gives.

    Args:
        post: Posts to our webhook; None is no webhook.
        clock: Tells the time.
        seed: Ids of messages follow from it, and what goes wrong.
        rules: Checks of a request to send, in order.
    """

    def __init__(
        self, post: Post | None, clock: Clock, *, seed: int, rules: Sequence[Rule] = SHAPES
    ) -> None:
        self.clock = clock
        self.seed = seed
        self.script = Script(seed)
        self.journal = Journal()
        self.again = Redeliveries(post or nowhere, clock)
        self.postman = Postman(post, self.again, clock)
        self.book = Book()
        self.shelf = Shelf(seed)
        self.tokens = Tokens()
        self.meta = Meta()
        self.mailroom = Mailroom(
            post or nowhere,
            self.again,
            clock,
            script=self.script,
            journal=self.journal,
            meta=self.meta,
            due=self.postman.take,
        )
        self.rules = [self.tokens.rule, *rules, has_uploaded(self.shelf)]
        self.sent = 0
        self.customers = 0
        self.refused = 0
        self.refusals: dict[int, int] = {}
        self.receipts = 0

    async def run(self) -> None:
        """Tell and deliver what is due, until cancelled."""
        try:
            await asyncio.gather(self.postman.run(), self.again.run())
        finally:
            await self.mailroom.close()

    def note(self, kind: Kind, *ids: str, **detail: int | str) -> None:
        """Write down what went wrong on purpose."""
        self.journal.write(kind, self.clock.now_ms(), ids, **detail)

    def take(self, attempt: Attempt) -> tuple[int, dict[str, Any], Entry | None]:
        """Accept or refuse one request; return HTTP status, body and what was accepted."""
        if refusal := judge((*self.rules, *self.meta.rules), attempt):
            return refusal.status, self.refuse(refusal), None
        if is_receipt(attempt.body):
            self.receipts += 1
            self.book.mark(attempt.body["message_id"])
            return 200, {"success": True}, None
        return 200, *self._accept(attempt)

    def stranger(self, authorization: str) -> Refusal | None:
        """Say what is wrong with the token of a request that sends nothing."""
        now_ms = self.clock.now_ms()
        return has_token(authorization) or self.tokens.refusal(authorization, at_ms=now_ms)

    def refuse(self, refusal: Refusal) -> dict[str, Any]:
        """Return the body of a refusal, and count it by its code."""
        self.refused += 1
        self.refusals[refusal.code] = self.refusals.get(refusal.code, 0) + 1
        return refusal.body(f"sim{self.refused:08d}")

    def _accept(self, attempt: Attempt) -> tuple[dict[str, Any], Entry]:
        body = attempt.body
        self.sent += 1
        self.meta.sent(attempt)
        given = body["to"] if body.get("to") is not None else body["recipient"]
        to = addressee(body)
        kind = body.get("type", "text")
        callback = body.get("biz_opaque_callback_data") or ""
        bubble_id, number = bubble_of(callback)
        entry = Entry(
            number=self.sent,
            phone_number_id=attempt.phone_number_id,
            to=to,
            wamid=wamid(self.seed, self.sent),
            type=kind,
            text=body["text"]["body"] if kind == "text" else "",
            callback_data=callback,
            bubble_id=bubble_id,
            attempt=number,
            at_ms=attempt.at_ms,
        )
        self.book.write(entry)
        named = "wa_id" if body.get("to") is not None else "user_id"
        answer = {
            "messaging_product": "whatsapp",
            "contacts": [{"input": given, named: to}],
            "messages": [{"id": entry.wamid, "message_status": "accepted"}],
        }
        return answer, entry

    def customer(self, asked: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return id and body of a customer's message, as Meta would post it."""
        self.customers += 1
        now_ms = self.clock.now_ms()
        if "media" in asked:
            message = attached(asked["media"], self.shelf, now_ms=now_ms)
        else:
            given = asked.get("message")
            message = dict(given or {"type": "text", "text": {"body": asked["text"]}})
        message["from"] = asked["from"]
        message["id"] = str(
            asked.get("wamid") or message.get("id") or wamid(self.seed, self.customers, "in")
        )
        message.setdefault("timestamp", str(now_ms // 1000))
        body = received(
            asked["phone_number_id"],
            message,
            name=str(asked.get("name", "")),
            user_id=str(asked.get("user_id", "")),
        )
        return message["id"], body

    def figures(self) -> dict[str, int]:
        """Return what was counted."""
        return {
            "accepted": self.book.total,
            "last": self.sent,
            "refused": self.refused,
            "receipts": self.receipts,
            "files": len(self.shelf.files),
            "duplicates": sum(self.book.duplicates().values()),
            "webhooks_posted": self.postman.posted,
            "webhooks_retried": self.again.retried,
            "statuses_waiting": self.postman.waiting,
            "statuses_dropped": self.postman.dropped,
            "webhooks_dropped": self.again.dropped,
            "acts": self.journal.total,
        }
