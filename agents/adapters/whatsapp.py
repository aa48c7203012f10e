"""The courier: posts messages to WhatsApp's Cloud API, each one once.

What a failure proves decides what may happen next. Before the request is written nothing
was sent (``NotSent``); an error in WhatsApp's own form says that it was refused
(``Refused``); everything else may have been sent (``Unknown``) and is not tried again.

Source: WhatsApp Cloud API, "Messages" (``POST /<phone number id>/messages``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, assert_never
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson

from agents.ports import (
    Accepted,
    Clock,
    Letter,
    NotSent,
    Observe,
    Posted,
    Receipt,
    Refused,
    Tokens,
    Unknown,
    unobserved,
)
from schemas.addresses import on_this_machine
from schemas.errors import Unavailable

CONNECTIONS: Final = 256
"""Requests at once: 1,000 messages a second, the highest tier of a number, at 250 ms each."""
KEEPALIVE_S: Final = 4.0
"""Idle time after which we close a connection: before the other side does (uvicorn: 5 s), since
a request written while it closes has an unknown result."""
TITLE_CHARS: Final = 80

CONNECT_S: Final = 5.0

_NOT_WRITTEN: Final = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
)
"""What is raised before a connection exists. aiohttp writes a POST at most once: on a connection
that turns out to be closed it repeats only methods that are idempotent.

Source: aiohttp, "Client Exceptions", and ``ClientSession._request``."""
_PROXY_ERRORS: Final = (502, 504)
"""Spoken by something between us and WhatsApp, which may have passed the request on."""


_LATE: ContextVar[Callable[[], bool] | None] = ContextVar("late", default=None)


class TooLate(Exception):
    """The claim expired while a connection was waited for."""


class LastLook(aiohttp.TCPConnector):
    """Asks once more whether the request may be written, when it has its connection.

    To look up a token and to connect takes seconds when something is slow; the process may also
    have been frozen. After this only the write itself is left.
    """

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        """Return a connection to write to.

        Raises:
            TooLate: Nothing may be written any more.
        """
        connection = await super().connect(*args, **kwargs)
        late = _LATE.get()
        if late is not None and late():
            connection.release()
            raise TooLate
        return connection


def open_client(base_url: str, timeout_s: float) -> aiohttp.ClientSession:
    """Return the HTTP client of the courier; the caller closes it.

    It is aiohttp's: a request costs a tenth of the CPU time that it costs with httpx.

    Args:
        base_url: WhatsApp's, with version.
        timeout_s: Longest silence of the other side.
    """
    connect_s = min(timeout_s, CONNECT_S)
    return aiohttp.ClientSession(
        base_url=base_url.rstrip("/") + "/",
        connector=LastLook(limit=CONNECTIONS, keepalive_timeout=KEEPALIVE_S),
        timeout=aiohttp.ClientTimeout(
            total=connect_s + timeout_s, connect=connect_s, sock_read=timeout_s
        ),
        proxy=_proxy(base_url),
    )


def _proxy(base_url: str) -> str | None:
    """Return the proxy that the environment names; asked once, aiohttp would for each request."""
    place = urlsplit(base_url)
    if on_this_machine(base_url) or proxy_bypass(place.hostname or ""):
        return None
    return getproxies().get(place.scheme)


class WhatsAppCourier:
    """Posts letters over HTTP; never retries, never raises for an answer."""

    def __init__(
        self,
        client: aiohttp.ClientSession,
        tokens: Tokens,
        *,
        clock: Clock,
        observe: Observe = unobserved,
    ) -> None:
        self._client = client
        self._tokens = tokens
        self._clock = clock
        self._observe = observe

    async def post(self, letter: Letter, /, *, until_ms: int) -> Receipt:
        """Post one message, once, unless it is too late when the connection is there."""
        began = time.perf_counter()
        token = _LATE.set(lambda: self._clock.now_ms() > until_ms)
        try:
            receipt = await self._post(letter)
        finally:
            _LATE.reset(token)
        self._observe(
            Posted(
                outcome=_outcome(receipt),
                code=receipt.code if isinstance(receipt, Refused) else 0,
                seconds=time.perf_counter() - began,
            )
        )
        return receipt

    async def _post(self, letter: Letter) -> Receipt:
        try:
            token = await self._tokens.token(letter.phone_number_id)
        except Unavailable:
            return NotSent(reason="token_unavailable")
        if token is None:
            return NotSent(reason="no_token")
        return await self._written(letter, token)

    async def _written(self, letter: Letter, token: str) -> Receipt:
        try:
            async with self._client.post(
                f"{letter.phone_number_id}/messages",
                data=orjson.dumps(body(letter)),
                headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
                allow_redirects=False,
            ) as answer:
                return receipt_of(answer.status, await answer.read())
        except TooLate:
            return NotSent(reason="claim_expired")
        except _NOT_WRITTEN:
            return NotSent(reason="unreachable")
        except TimeoutError:
            return Unknown(reason="timeout")
        except aiohttp.ClientError:
            return Unknown(reason="cut")


def body(letter: Letter) -> dict[str, Any]:
    """Return the request's body.

    A business-scoped user id goes into ``recipient``: in ``to`` it would be taken for a number.
    """
    to = {"to": letter.wa_id} if letter.wa_id else {"recipient": letter.user_id}
    quoted = {"context": {"message_id": letter.reply_to_wamid}} if letter.reply_to_wamid else {}
    return {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        **to,
        **_content(letter),
        **quoted,
        "biz_opaque_callback_data": letter.callback_data,
    }


def _content(letter: Letter) -> dict[str, Any]:
    if letter.template is None:
        return {"type": "text", "text": {"preview_url": False, "body": letter.text}}
    words = [{"type": "text", "text": letter.template.parameter}]
    return {
        "type": "template",
        "template": {
            "name": letter.template.name,
            "language": {"code": letter.template.language},
            "components": [{"type": "body", "parameters": words}],
        },
    }


def receipt_of(status: int, answer: bytes) -> Receipt:
    """Return what an answer means, by its HTTP status and its body.

    An error without WhatsApp's error object is a refusal by its status (503: WhatsApp is not
    well, try again), except from a proxy, and a success that cannot be read is not known.
    """
    found = _json_object(answer)
    if 200 <= status < 300:  # noqa: PLR2004 - HTTP's successes
        return _accepted(found)
    error = found.get("error")
    if isinstance(error, dict):
        return Refused(
            code=_code(error.get("code")),
            status=status,
            title=str(error.get("type") or "")[:TITLE_CHARS],
        )
    if status in _PROXY_ERRORS:
        return Unknown(reason="bad_answer")
    return Refused(code=0, status=status)


def _accepted(found: dict[str, Any]) -> Receipt:
    try:
        wamid = found["messages"][0]["id"]
    except (KeyError, IndexError, TypeError):
        wamid = None
    if not isinstance(wamid, str) or not wamid:
        return Unknown(reason="bad_answer")
    try:
        wa_id = found["contacts"][0]["wa_id"]
    except (KeyError, IndexError, TypeError):
        wa_id = None
    return Accepted(wamid=wamid, wa_id=wa_id if isinstance(wa_id, str) else None)


def _json_object(answer: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(answer)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _code(code: object) -> int:
    return code if isinstance(code, int) and not isinstance(code, bool) else 0


def _outcome(receipt: Receipt) -> str:
    match receipt:
        case Accepted():
            return "accepted"
        case Refused():
            return "refused"
        case Unknown():
            return "unknown"
        case NotSent():
            return "not_sent"
        case _:
            assert_never(receipt)
