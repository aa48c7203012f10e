"""What proves that a fault really happened. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

Evidence = Mapping[str, float | str | bool]
"""What was seen of a fault while it happened."""

Proof = Callable[[Evidence], str | None]
"""Says why a fault did not really happen, or None."""


def at_least(**wanted: float) -> Proof:
    """Every one of these was seen at least so often, or so long."""

    def proof(seen: Evidence) -> str | None:
        missing = [
            f"{n} {_number(seen, n):g} of {w:g}" for n, w in wanted.items() if _number(seen, n) < w
        ]
        return ", ".join(missing) or None

    return proof


def replaced(seen: Evidence) -> str | None:
    """Another process took the place of the one that was struck."""
    if _number(seen, "before") == _number(seen, "after"):
        return "the process lives on"
    return None


def outslept(seen: Evidence) -> str | None:
    """A process slept until others had its partitions, and woke up: a zombie."""
    if _number(seen, "stopped_s") < 2 * _number(seen, "session_s"):
        return "it was stopped for less than two session timeouts"
    if not _number(seen, "taken"):
        return "nobody took its partitions meanwhile"
    if _number(seen, "before") != _number(seen, "after"):
        return "it did not wake up: it was ended"
    return None


def _number(seen: Evidence, name: str) -> float:
    found = seen.get(name, 0)
    return found if isinstance(found, int | float) else 0
