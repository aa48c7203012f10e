"""What the loop counts. Labelled metrics are looked up once: that costs more than using them."""

from __future__ import annotations

from typing import Final

import structlog
from prometheus_client import Counter, Histogram

from streams.metrics import (
    DEAD_LETTERS,
    EVENTS_CONSUMED,
    EVENTS_SECONDS,
    PARKED,
    RETURNED,
    STATE_SIZE,
)
from streams.processor.parker import BEHIND
from streams.state.parking import Arm

log = structlog.get_logger(__name__)

ENDS: Final = {Arm.RETURN: "decided", Arm.DROP: "dropped", Arm.STALE: "stale"}
"""What became of an event that came back."""


class Counting:
    """The metrics of one stage's events."""

    def __init__(self, stage: str, group: str) -> None:
        self.stage = stage
        self.group = group
        self.topics: dict[str, tuple[Counter, Histogram]] = {}
        self.state_size = STATE_SIZE.labels(stage)

    def began(self, topic: str) -> None:
        """Count an event that was taken."""
        self._of(topic)[0].inc()

    def ended(self, topic: str, seconds: float) -> None:
        """Count how long it took."""
        self._of(topic)[1].observe(seconds)

    def stored(self, state_bytes: int) -> None:
        """Count a state that was written."""
        self.state_size.observe(state_bytes)

    def settled(self, topic: str, arm: Arm, given_up: str | None) -> None:
        """Count an event that needs nothing more, and why it was given up, if it was."""
        if arm is Arm.DECIDE and given_up is None:
            return
        reason = given_up or (BEHIND if arm is Arm.BEHIND else None)
        if reason is not None:
            PARKED.labels(self.stage, reason).inc()
            DEAD_LETTERS.labels(topic, reason).inc()
        if arm in ENDS:
            ended = "failed" if given_up else ENDS[arm]
            RETURNED.labels(self.stage, ended).inc()
            log.info("event.returned", stage=self.stage, ended=ended)

    def _of(self, topic: str) -> tuple[Counter, Histogram]:
        found = self.topics.get(topic)
        if found is None:
            consumed = EVENTS_CONSUMED.labels(topic, self.group)
            found = self.topics[topic] = (consumed, EVENTS_SECONDS.labels(topic))
        return found
