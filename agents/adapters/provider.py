"""What the client of an API that speaks OpenAI's raises, as our errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import aiohttp
import httpx2
from openai import APIConnectionError, APIStatusError

from schemas.errors import Rejected, Unavailable

SAID_LATER: Final = frozenset({408, 409, 425, 429})
"""HTTP statuses below 500 after which the same request may work."""
BROKEN: Final = (
    APIConnectionError,
    httpx2.HTTPError,
    httpx2.StreamError,
    aiohttp.ClientError,  # the client's transport translates most of them, not all
    TimeoutError,
    OSError,
)
"""What the client raises when the provider does not answer."""


@contextmanager
def translated(refusal: Callable[[APIStatusError], Unavailable | Rejected]) -> Iterator[None]:
    """Turn what the client raises into our errors; their texts may hold what we sent.

    Args:
        refusal: Says what a status means to the caller.
    """
    try:
        yield
    except APIStatusError as exc:
        raise refusal(exc) from None
    except BROKEN:
        raise Unavailable("model") from None


def later(exc: APIStatusError) -> Unavailable | None:
    """Return the error of a status after which the same request may work; None: it is another."""
    status = exc.status_code
    if status in SAID_LATER or status >= 500:  # noqa: PLR2004 - HTTP's server errors
        return Unavailable("model", _retry_after_s(exc.response.headers.get("retry-after")))
    return None


def _retry_after_s(header: str | None) -> float | None:
    """Return the seconds of a ``Retry-After``; its other form, a date, is not used by models."""
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
