"""The watchdog at work: gathers a worker's signs and says when it must end itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import structlog
from aiokafka.errors import KafkaError

from streams.consumer.auditor import Auditor
from streams.watch.health import Dependencies
from streams.watch.watchdog import Signs, Watch

log = structlog.get_logger(__name__)

ASK_S: Final = 5.0
"""Longest time to ask the brokers for the ends of the logs."""
QUIET_SHARE: Final = 0.25
"""Part of the patience after which the brokers are asked, so that a busy worker never asks; and
that a question may take, so that a loop which waits for it is not taken for one that hangs."""
GAP_S: Final = 15.0
"""Most time that counts from one look to the next, which are seconds apart: in the rest of it the
whole process stood still, which is nobody's hang."""


class Member(Protocol):
    """A member of a group that may hang: all stages of a worker (``streams.engine``), or a sink."""

    @property
    def progress(self) -> int:
        """Grows with whatever is finished."""

    @property
    def serving(self) -> bool:
        """Whether inputs are delivered."""

    @property
    def auditor(self) -> Auditor:
        """Knows what is committed."""

    def partitions(self) -> set[Any]:
        """Return the input partitions that are assigned."""

    async def ends(self) -> Mapping[Any, int]:
        """Return where their logs end.

        Raises:
            KafkaError: No broker says.
        """


class Lookout:
    """Watches one member of a group.

    Attributes:
        member: The member.
        dependencies: Which services it waits for.
        calling: Tells for a moment whether something long is within its limit.
        patience_s: How long a worker may make no progress.
        why: Why the worker must end, or None.
        looked_s: When it looked last.
        watched_s: The same on a clock that stands still while the process is frozen.
    """

    def __init__(
        self,
        member: Member,
        dependencies: Dependencies,
        calling: Callable[[float], bool],
        patience_s: float,
    ) -> None:
        self.member = member
        self.dependencies = dependencies
        self.calling = calling
        self.patience_s = patience_s
        self.why: str | None = None
        self.looked_s = self.watched_s = time.monotonic()
        self.watch = Watch(self.watched_s)

    async def look(self) -> None:
        """Look once; ``why`` tells what was seen."""
        began_s = time.monotonic()
        self.watched_s += min(began_s - self.looked_s, GAP_S)
        self.looked_s, now_s = began_s, self.watched_s
        signs = await self._signs(now_s)
        self.watch = self.watch.look(signs, now_s)
        self.why = self.watch.why_stuck(signs, now_s, self.patience_s)

    async def _signs(self, now_s: float) -> Signs:
        member = self.member
        mine = member.partitions()
        moved = member.progress != self.watch.progress
        quiet = now_s - self.watch.since_s > self.patience_s * QUIET_SHARE
        waiting = self.dependencies.why()
        behind = 1
        if mine and quiet and not moved and waiting is None:
            ends = await self._ends()
            waiting = "waiting for kafka" if ends is None else None
            behind = member.auditor.behind(ends or {})
        return Signs(
            progress=member.progress,
            partitions=len(mine),
            serving=member.serving,
            behind=behind,
            waiting=waiting,
            calling=self.calling(self.looked_s),
        )

    async def _ends(self) -> Mapping[Any, int] | None:
        """Return where the logs end; None when the brokers do not say."""
        try:
            async with asyncio.timeout(min(ASK_S, self.patience_s * QUIET_SHARE)):
                return await self.member.ends()
        except (KafkaError, TimeoutError) as exc:
            log.warning("watchdog.no_answer", error=type(exc).__name__)
            return None
