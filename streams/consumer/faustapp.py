"""The Faust app of a worker: the safe transport, and lanes in the place of streams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.consumer.transport import SafeConsumer
from streams.logs import FAUST_LOG
from streams.state.proof import Proof


class Intake(Protocol):
    """Where the records of some topics go (see ``streams.processor.lanes``)."""

    @property
    def held(self) -> Iterable[TP]:
        """Partitions that must wait."""

    def take(self, message: Any) -> bool:
        """Take a message; False when its partition must wait."""

    async def drain(self, seconds: float) -> int:
        """Start nothing new and wait for what runs; return how much still runs."""

    async def cancel(self) -> None:
        """Cancel and forget everything; it will be delivered again."""


class SafeProducer(driver.Producer):
    """Faust's own producer: idempotent, though we publish through ``streams.kafka.publish``."""

    logger = FAUST_LOG

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class SafeTransport(driver.Transport):
    """Transport made of the safe parts."""

    Consumer = SafeConsumer
    Producer = SafeProducer


class SafeApp(faust.App):
    """Faust app on the safe transport; the topics of ``intakes`` bypass Faust's streams.

    Attributes:
        intakes: Where the records of each input topic go.
        families: For each stage, its inputs and its changelog.
        drain_s: How long a rebalance or a stop waits for work in flight.
        progress: Events finished and table records recovered since the start.
        serving: True while inputs are delivered.
        leaving: True when the place in the group is given up at the stop.
        partitions: Partitions of every input and changelog topic.
        proofs: What input partitions must hold, until it was read.
        topic_ids: Id of each topic; another id is another log.
        engine: What built the app (``streams.engine.Engine``).
    """

    logger = FAUST_LOG
    engine: Any

    def __init__(self, *args: Any, drain_s: float, **kwargs: Any) -> None:
        self.intakes: dict[str, Intake] = {}
        self.families: list[frozenset[str]] = []
        self.drain_s = drain_s
        self.progress = 0
        self.serving = False
        self.leaving = False
        self.partitions = 1
        self.proofs: dict[TP, Proof] = {}
        self.topic_ids: dict[str, str] = {}
        super().__init__(*args, **kwargs)

    @property
    def safe_consumer(self) -> SafeConsumer:
        """The consumer, with the type that it has here."""
        return cast(SafeConsumer, self.consumer)

    def held(self) -> set[TP]:
        """Return the partitions that wait for room in their lanes."""
        return {tp for intake in set(self.intakes.values()) for tp in intake.held}

    def _new_transport(self) -> SafeTransport:
        return SafeTransport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> SafeTransport:
        return SafeTransport(self.conf.broker_producer, self)

    async def _stop_consumer(self) -> None:
        if self._consumer is not None and self._consumer.started:
            await self.safe_consumer.quiesce()
        await super()._stop_consumer()

    def _create_directories(self) -> None:
        """Make no folders: tables live in memory, and an image's files are read-only."""
