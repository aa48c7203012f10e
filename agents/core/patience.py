"""How often and how long to try again, as pure decisions."""

from __future__ import annotations

from typing import Final

MAX_TRIES: Final = 3
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 8.0


def wait_s(tries: int, asked_s: float | None, left_s: float) -> float | None:
    """Return how long to wait before another try, or None when there is to be none.

    Waits 0.5 s, then 1 s, or what the other side asks for when that is longer; gives up
    after three tries, when more than 8 s are asked for, or when the time left is shorter.

    Args:
        tries: Tries that failed, from 1.
        asked_s: Seconds that the other side asked us to wait, if it did.
        left_s: Seconds until the result is no longer wanted.
    """
    pause_s = max(FIRST_WAIT_S * (1 << (tries - 1)), asked_s or 0.0)
    if tries >= MAX_TRIES or pause_s > LONGEST_WAIT_S or pause_s >= left_s:
        return None
    return pause_s
