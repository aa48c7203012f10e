"""Faults that a test asks of the model: a queue, filled through ``POST /control``."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

KINDS: Final = frozenset(
    {
        "status",  # answers with an HTTP status, 429 and 500 for example
        "slow",  # waits before it answers
        "cut",  # closes the connection in the middle of the answer
        "invalid_json",  # answers 200 with what is no JSON
        "wrong_tool",  # asks for a tool that does not exist
        "endless_tools",  # asks for a tool whatever it is told
        "bad_arguments",  # asks for a real tool with arguments that are no JSON
        "huge",  # answers 10 MB
        "empty",  # answers nothing
        "refusal",  # refuses to answer
        "echo",  # answers the question's own words: what an injected model would say
    }
)
HEADER: Final = "x-model-fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    Attributes:
        kind: What goes wrong; one of ``KINDS``.
        status: HTTP status of ``status``.
        retry_after_s: Seconds of its ``Retry-After``, if any.
        seconds: How long ``slow`` waits.
    """

    kind: str
    status: int = 500
    retry_after_s: float | None = None
    seconds: float = 5.0


@dataclass
class Faults:
    """Faults that wait for requests; the first request takes the first one.

    Attributes:
        waiting: What is to come.
        happened: How often each kind happened.
        requests: Chat requests so far.
    """

    waiting: deque[Fault] = field(default_factory=deque)
    happened: dict[str, int] = field(default_factory=dict)
    requests: int = 0

    def add(self, body: Mapping[str, Any]) -> str | None:
        """Queue the faults of a control request; returns what is wrong with it, if anything."""
        asked = body.get("faults")
        if not isinstance(asked, list):
            return "expected {'faults': [{'kind': …, 'times': 1}, …]}"
        found: list[Fault] = []
        for entry in asked:
            if not isinstance(entry, dict) or entry.get("kind") not in KINDS:
                return f"a fault's kind is one of {', '.join(sorted(KINDS))}"
            given = dict(entry)
            times = given.pop("times", 1)
            try:
                found.extend([Fault(**given)] * int(times))
            except (TypeError, ValueError):
                return "a fault has kind, times, status, retry_after_s, seconds"
        self.waiting.extend(found)
        return None

    def take(self, header: str | None) -> Fault | None:
        """Return the fault of this request: the one it names itself, or the next that waits."""
        self.requests += 1
        fault = Fault(kind=header) if header in KINDS else None
        if fault is None and self.waiting:
            fault = self.waiting.popleft()
        if fault is not None:
            self.happened[fault.kind] = self.happened.get(fault.kind, 0) + 1
        return fault

    def clear(self) -> None:
        """Forget what waits and what was counted."""
        self.waiting.clear()
        self.happened.clear()
        self.requests = 0
