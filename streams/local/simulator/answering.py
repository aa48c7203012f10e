"""How a request to send is answered: well, or as the script wants it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import orjson

from streams.local.simulator.book import Entry, bubble_of
from streams.local.simulator.course import course
from streams.local.simulator.refusals import Refusal
from streams.local.simulator.rules import Attempt, is_receipt
from streams.local.simulator.script import Kind, Wish
from streams.local.simulator.state import Simulator

CODES: Final = {HTTPStatus.TOO_MANY_REQUESTS: 80007, HTTPStatus.SERVICE_UNAVAILABLE: 2}
"""Usual code of an HTTP status; of all others it is 131000.

Source: Meta, "WhatsApp Cloud API: Error codes".
"""

OTHER_CODE: Final = 131000
REGAIN_MINUTES: Final = 1
USAGE_HEADER: Final = "x-business-use-case-usage"
"""Where Meta says when an account may call again; nothing else of it is a hint to retry.

Source: Meta, "Graph API: Rate limits", "Headers".
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    Attributes:
        status: HTTP status.
        content: What is said, as plain data; None is a page of something in between.
        headers: Headers beside the usual ones.
    """

    status: int
    content: dict[str, Any] | None
    headers: dict[str, str] = field(default_factory=dict)


async def answered(simulator: Simulator, attempt: Attempt) -> Answer | None:
    """Take one request; None is to be cut off without an answer."""
    if not isinstance(attempt.body, dict) or is_receipt(attempt.body):
        return Answer(*simulator.take(attempt)[:2])
    if wish := simulator.script.act(Kind.ERROR):
        return _error(simulator, attempt, wish)
    status, content, entry = simulator.take(attempt)
    if entry is None:
        return Answer(status, content)
    await _promise(simulator, entry)
    return await _told(simulator, entry, Answer(status, content))


def _error(simulator: Simulator, attempt: Attempt, wish: Wish) -> Answer:
    bubble_id, _ = bubble_of(str(attempt.body.get("biz_opaque_callback_data") or ""))
    known = CODES.get(HTTPStatus(wish.status), OTHER_CODE)
    code = wish.code or known
    simulator.note(Kind.ERROR, bubble=bubble_id, status=wish.status, code=code)
    headers = {}
    if code == CODES[HTTPStatus.TOO_MANY_REQUESTS]:
        usage = {"type": "messages", "estimated_time_to_regain_access": REGAIN_MINUTES}
        headers[USAGE_HEADER] = orjson.dumps({"100000000000000": [usage]}).decode()
    return Answer(wish.status, simulator.refuse(Refusal(code, "", wish.status)), headers)


async def _promise(simulator: Simulator, entry: Entry) -> None:
    """Decide what is told of a message, and tell the first of it before the answer if wanted."""
    chosen = course(simulator.script, simulator.postman.told)
    told = chosen.told
    for act in chosen.acts:
        simulator.note(act.kind, entry.wamid, bubble=entry.bubble_id)
    if told and simulator.script.act(Kind.EARLY_STATUS):
        status = await simulator.postman.tell(entry, told[0])
        simulator.note(Kind.EARLY_STATUS, entry.wamid, bubble=entry.bubble_id, status=status)
        told = told[1:]
    simulator.postman.promise(entry, told)


async def _told(simulator: Simulator, entry: Entry, answer: Answer) -> Answer | None:
    wish = simulator.script.first(Kind.CUT, Kind.GATEWAY, Kind.SLOW)
    if wish is None:
        return answer
    simulator.note(wish.kind, entry.wamid, bubble=entry.bubble_id)
    if wish.kind is Kind.CUT:
        return None
    if wish.kind is Kind.GATEWAY:
        return Answer(HTTPStatus.GATEWAY_TIMEOUT, None)
    await asyncio.sleep(wish.lasts_s)
    return answer
