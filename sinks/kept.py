"""A bounded memory of answers: asked again when old, served as they are while nobody answers.

One at a time asks again: a store that hangs keeps only that one waiting.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from schemas.errors import Unavailable

T = TypeVar("T")


class Kept(Generic[T]):
    """Answers by key; the least recently used one leaves first.

    Args:
        fresh_s: Seconds after which an answer is asked for again.
        most: Most answers that are kept.
        monotonic: Seconds of a clock that never goes back.
    """

    def __init__(
        self, *, fresh_s: float, most: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.fresh_s = fresh_s
        self.most = most
        self.monotonic = monotonic
        self._answers: OrderedDict[str, tuple[T, float]] = OrderedDict()

    async def get(self, key: str, ask: Callable[[str], Awaitable[T]]) -> T:
        """Return the answer; an old one when there is no other.

        Raises:
            Unavailable: Nobody answers and nothing is kept.
        """
        kept = self._answers.get(key)
        if kept is not None and self.monotonic() - kept[1] < self.fresh_s:
            self._answers.move_to_end(key)
            return kept[0]
        if kept is None:
            return self._keep(key, await ask(key))
        self._keep(key, kept[0])  # for the others, as long as this one asks
        try:
            answer = await ask(key)
        except Unavailable:
            answer = kept[0]  # and not asked for again before `fresh_s`: asking may be slow
        except BaseException:
            if key in self._answers:
                self._answers[key] = kept
            raise
        return self._keep(key, answer)

    def _keep(self, key: str, answer: T) -> T:
        self._answers[key] = answer, self.monotonic()
        self._answers.move_to_end(key)
        if len(self._answers) > self.most:
            self._answers.popitem(last=False)
        return answer

    def peek(self, key: str) -> T | None:
        """Return what is kept, however old."""
        kept = self._answers.get(key)
        return None if kept is None else kept[0]

    def forget(self, key: str) -> None:
        """Keep the answer no longer."""
        self._answers.pop(key, None)
