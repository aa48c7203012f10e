"""Tokens of the feed: JSON Web Tokens that the helpdesk, or ``whaticket feed token``, signs."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

import jwt

from schemas.errors import Rejected
from streams.settings import Settings

ALGORITHM: Final = "HS256"
LEEWAY_S: Final = 60
"""Clocks of the helpdesk and ours may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
    """Who watches the feed.

    Attributes:
        user: Id of the person in the helpdesk.
        company: Number of the company.
        admin: True sees every ticket of the company; else those that wait and the own ones.
    """

    user: str
    company: int
    admin: bool


def signing_key(settings: Settings) -> bytes:
    """Return the key that signs the feed's tokens."""
    own = settings.feed_secret.get_secret_value()
    if own:
        return own.encode()
    return hmac.digest(settings.api_token.get_secret_value().encode(), b"feed", hashlib.sha256)


def mint(watcher: Watcher, key: bytes, *, expires_at_s: int) -> str:
    """Return a token.

    Args:
        watcher: Whom it is for.
        key: What signs it.
        expires_at_s: Unix seconds after which it is refused.
    """
    claims = {
        "id": watcher.user,
        "profile": "admin" if watcher.admin else "user",
        "companyId": watcher.company,
        "exp": expires_at_s,
    }
    return jwt.encode(claims, key, algorithm=ALGORITHM)


def watcher_of(token: str, key: bytes) -> Watcher:
    """Return whom a token is for.

    Raises:
        Rejected: ``bad_token``: it is malformed, expired, signed by someone else, or names nobody.
    """
    try:
        claims = jwt.decode(
            token, key, algorithms=[ALGORITHM], leeway=LEEWAY_S, options={"require": ["exp"]}
        )
    except jwt.InvalidTokenError as exc:
        raise Rejected("bad_token", type(exc).__name__) from None
    user, company = claims.get("id", claims.get("userId")), claims.get("companyId")
    if not isinstance(user, int | str) or type(company) is not int:
        raise Rejected("bad_token", "id or companyId is missing")
    return Watcher(user=str(user), company=company, admin=claims.get("profile") == "admin")
