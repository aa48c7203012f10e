"""The watchdog at work: gathers a worker's signs and says when it must end itself."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import structlog
from aiokafka.errors import KafkaError

from streams.engine import Engine
from streams.watchdog import Signs, Watch

log = structlog.get_logger(__name__)

ASK_S: Final = 5.0
"""Longest time to ask the brokers for the ends of the logs."""
QUIET_SHARE: Final = 0.25
"""Part of the patience after which the brokers are asked, so that a busy worker never asks."""


class Lookout:
    """Watches one engine.

    Attributes:
        patience_s: How long a worker may make no progress.
        why: Why the worker must end, or None.
    """

    def __init__(self, engine: Engine, patience_s: float) -> None:
        self.engine = engine
        self.patience_s = patience_s
        self.why: str | None = None
        self.watch = Watch(time.monotonic())

    async def look(self) -> None:
        """Look once; ``why`` tells what was seen."""
        now_s = time.monotonic()
        signs = await self._signs(now_s)
        self.watch = self.watch.look(signs, now_s)
        self.why = self.watch.why_stuck(signs, now_s, self.patience_s)

    async def _signs(self, now_s: float) -> Signs:
        app = self.engine.app
        consumer = app.safe_consumer
        mine = consumer.inputs()
        moved = app.progress != self.watch.progress
        quiet = now_s - self.watch.since_s > self.patience_s * QUIET_SHARE
        waiting = self.engine.dependencies.why()
        behind = 1
        if mine and quiet and not moved and waiting is None:
            ends = await self._ends(mine)
            waiting = "waiting for kafka" if ends is None else None
            behind = consumer.auditor.behind(ends or {})
        return Signs(
            progress=app.progress,
            partitions=len(mine),
            serving=app.serving,
            behind=behind,
            waiting=waiting,
            calling=any(part.lanes.calling(now_s) for part in self.engine.running.values()),
        )

    async def _ends(self, partitions: set[Any]) -> dict[Any, int] | None:
        """Return where the logs end; None when the brokers do not say."""
        try:
            async with asyncio.timeout(ASK_S):
                return dict(await self.engine.app.safe_consumer.highwaters(*partitions))
        except (KafkaError, TimeoutError) as exc:
            log.warning("watchdog.no_answer", error=type(exc).__name__)
            return None
