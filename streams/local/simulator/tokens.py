"""Access tokens: any is good until a control call ends it, in one of Meta's ways.

Tokens are kept as hashes: nothing that the simulator tells can hold one.

Source: Meta, "Graph API: Handling errors" (code 190 and its subcodes) and "Permissions"
(code 10); recorded answers: github.com/blynkkk/blynk-server, issue 435 (463), and
github.com/facebookarchive/php-graph-sdk, issue 937 (460).
"""

from __future__ import annotations

import datetime as dt
import hashlib
from enum import StrEnum
from typing import Final

from streams.local.simulator.refusals import FORBIDDEN, UNAUTHORIZED, Refusal, plain
from streams.local.simulator.rules import Attempt

PST: Final = dt.timezone(dt.timedelta(hours=-8))
"""Meta writes times of tokens in its own time zone."""

BEARER: Final = "Bearer "
TOKENS_MAX: Final = 10_000
"""Tokens of one number that are remembered as used."""


class TokenState(StrEnum):
    """What may become of a token."""

    VALID = "valid"
    EXPIRED = "expired"  #: Its time is over: 190, subcode 463.
    REVOKED = "revoked"  #: The password or the session was changed: 190, subcode 460.
    LOGGED_OUT = "logged_out"  #: The user logged out: 190, subcode 467.
    REMOVED = "removed"  #: The app was removed from the account: 190, subcode 458.
    FORBIDDEN = "forbidden"  #: It lacks the permission to send: 10.


_INVALID: Final = {
    TokenState.REVOKED: (
        460,
        (
            "The session has been invalidated because the user changed their password or"
            " Facebook has changed the session for security reasons."
        ),
    ),
    TokenState.LOGGED_OUT: (467, "The session is invalid because the user logged out."),
    TokenState.REMOVED: (458, "The user has not authorized application 100000000000000."),
}


class Tokens:
    """What became of each token that was used or named."""

    def __init__(self) -> None:
        self.used: dict[str, set[bytes]] = {}
        self.ended: dict[bytes, tuple[TokenState, int]] = {}

    def set(self, token: str, state: TokenState, *, now_ms: int) -> None:
        """Decide what becomes of one token."""
        self._set(_hashed(token), state, now_ms)

    def set_used(self, state: TokenState, *, now_ms: int, number: str = "") -> int:
        """Decide what becomes of every token that was used, by one number or by all.

        Returns:
            How many tokens that are.
        """
        chosen = {
            token
            for owner, tokens in self.used.items()
            if number in ("", owner)
            for token in tokens
        }
        for token in chosen:
            self._set(token, state, now_ms)
        return len(chosen)

    def rule(self, attempt: Attempt) -> Refusal | None:
        """The token must be alive; that there is one is another rule."""
        return self.refusal(
            attempt.authorization, number=attempt.phone_number_id, at_ms=attempt.at_ms
        )

    def refusal(self, authorization: str, *, at_ms: int, number: str = "") -> Refusal | None:
        """Note that a token is used, and say what is wrong with it."""
        if not authorization.startswith(BEARER):
            return None
        token = _hashed(authorization.removeprefix(BEARER))
        used = self.used.setdefault(number, set())
        if len(used) < TOKENS_MAX:
            used.add(token)
        state, since_ms = self.ended.get(token, (TokenState.VALID, 0))
        return _refused(state, since_ms, at_ms)

    def _set(self, token: bytes, state: TokenState, now_ms: int) -> None:
        if state is TokenState.VALID:
            self.ended.pop(token, None)
        else:
            self.ended[token] = (state, now_ms)


def _refused(state: TokenState, since_ms: int, at_ms: int) -> Refusal | None:
    match state:
        case TokenState.VALID:
            return None
        case TokenState.FORBIDDEN:
            return plain(10, FORBIDDEN)
        case TokenState.EXPIRED:
            why = f"Session has expired on {_said(since_ms)}. The current time is {_said(at_ms)}."
            subcode = 463
        case TokenState.REVOKED | TokenState.LOGGED_OUT | TokenState.REMOVED:
            subcode, why = _INVALID[state]
    message = f"Error validating access token: {why}"
    return Refusal(190, "", UNAUTHORIZED, message=message, subcode=subcode)


def _said(at_ms: int) -> str:
    return dt.datetime.fromtimestamp(at_ms / 1000, PST).strftime("%A, %d-%b-%y %H:%M:%S PST")


def _hashed(token: str) -> bytes:
    return hashlib.blake2b(token.encode(), digest_size=16).digest()
