"""Faust's consumer without its thread: fetches, commits and heartbeats in the worker's event loop.

What of Faust's private parts it uses, and why, is in
docs/adr/0003-transport-on-private-faust-parts.md.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.utils.futures import maybe_async

from streams.consumer.auditor import VOUCHER
from streams.consumer.fetching import Witness, keep_sessions
from streams.consumer.foreign import forgive
from streams.consumer.membership import Replaced, be_static, leave_for_good
from streams.kafka.misnamed import read_on
from streams.logs import FAUST_LOG

log = structlog.get_logger(__name__)

FETCH_WAIT_MS: Final = 20
"""aiokafka keeps one fetch in flight; a partition drained meanwhile waits this long."""
IDLE_FETCH_WAIT_MS: Final = 1000
"""Where nothing came for a while, all partitions are in the fetch in flight and nothing waits
for it; a shorter one would only be repeated. A seek after a rebalance waits behind it."""

QUIET_S: Final = 1.0
"""For so long nothing has come when fetches begin to wait longer."""
NOBODYS: Final = -1
"""No generation: whatever was delivered in another is left to its owner."""


class InLoopConsumer(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread without the thread: everything runs in the worker's event loop.

    A busy main thread gives the interpreter lock to another one only every few milliseconds, so
    each fetch, commit and heartbeat waited for it twice. A refused commit is repeated later
    instead of crashing.
    """

    logger = FAUST_LOG

    def __init__(self, consumer: Any, *, loop: Any, beacon: Any) -> None:
        self.witness: Witness = consumer.auditor
        self.moved_at = 0.0
        self.crashing: asyncio.Future[Any] | None = None
        super().__init__(consumer, loop=loop, thread_loop=loop, beacon=beacon)

    async def start(self) -> None:
        """Start as a plain service does."""
        self._thread_started.set()
        await self._default_start()

    async def on_start(self) -> None:
        """Connect; fetch in sessions."""
        await super().on_start()
        consumer = self._ensure_consumer()
        keep_sessions(consumer, self.witness)
        forgive(consumer)
        if instance := self.app.conf.consumer_group_instance_id:
            be_static(consumer, instance, self._replaced)

    def check(self) -> None:
        """Look whether our place in the group is still kept.

        aiokafka's own fetch looks; Faust goes past it. Where nobody does, an answer that aiokafka
        does not expect ends its heartbeats and all of its joining, and we would read on.

        Raises:
            KafkaError: What aiokafka has come upon.
        """
        self._ensure_consumer()._coordinator.check_errors()  # noqa: SLF001 - no public way

    async def getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109 - Faust's signature
        """Fetch; what aiokafka cannot read is read for it."""
        try:
            return await super().getmany(active_partitions, timeout)
        except UnicodeDecodeError:
            places = [TopicPartition(*tp) for tp in active_partitions or ()]
            servers = ",".join(f"{url.host}:{url.port}" for url in self.app.conf.broker_consumer)
            return await read_on(self._ensure_consumer(), places, self._due, servers)

    def _due(self, place: TopicPartition, at: int) -> int:
        """Return where what was fetched and not delivered begins, given the position."""
        tp, consumer = TP(*place), cast(Any, self.consumer)  # it imports this module
        ledger = consumer.ledgers.get(tp)
        return int(consumer.positions.due(tp, at) if ledger is None else min(at, ledger.next))

    def _replaced(self) -> None:
        """End the worker; nothing more is written, since its generation is another process's."""
        self.app.consumer_generation_id = NOBODYS
        conf = self.app.conf
        exc = Replaced(conf.id, conf.consumer_group_instance_id or "")
        self.crashing = asyncio.ensure_future(self.app.crash(exc))

    def partition_count(self, topic: str) -> int:
        """Return how many partitions a topic has, as far as is known here; 0 is not known."""
        cluster = self._ensure_consumer()._client.cluster  # noqa: SLF001 - no public question
        return len(cluster.partitions_for_topic(topic) or ())

    def regroup(self) -> None:
        """Ask for a rebalance, in which the group's leader sees what we subscribe to now."""
        self._ensure_consumer()._coordinator.request_rejoin()  # noqa: SLF001 - no public way

    async def on_stop(self) -> None:
        """Do what the thread would have done at its end; leave the group if it is for good."""
        app: Any = self.app
        instance = app.conf.consumer_group_instance_id
        if app.leaving and instance:
            leave_for_good(self._ensure_consumer(), instance)
        await self.on_thread_stop()
        self._shutdown.set()

    async def _stop_children(self) -> None:
        await self._default_stop_children()

    async def _stop_futures(self) -> None:
        await self._default_stop_futures()

    async def _stop_exit_stacks(self) -> None:
        await self._default_stop_exit_stacks()

    async def call_thread(self, fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call it here and now."""
        return await maybe_async(fun(*args, **kwargs))

    def _create_worker_consumer(self, transport: Any) -> Any:
        """Shorten Faust's fixed 1.5 s long poll: every seek and offset lookup queues behind it."""
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001 - Faust has no setting
        return consumer

    def pace(self, moved: bool) -> None:
        """Let the next fetch wait longer at the broker for a first record while nothing comes."""
        now = time.monotonic()
        if moved:
            self.moved_at = now
        quiet = now - self.moved_at > QUIET_S
        wait_ms = IDLE_FETCH_WAIT_MS if quiet else FETCH_WAIT_MS
        self._ensure_consumer()._fetcher._fetch_max_wait_ms = wait_ms  # noqa: SLF001 - no setting

    def leave_out(self, partitions: set[TP]) -> None:
        """Fetch nothing of these partitions, as long as they are assigned."""
        self._ensure_consumer().pause(*(TopicPartition(*tp) for tp in partitions))

    async def commits(self, partitions: set[TP]) -> Mapping[Any, Any]:
        """Return the newest commit of each partition that has one: its offset and metadata."""
        coordinator = self._ensure_consumer()._coordinator  # noqa: SLF001 - no public question
        places = [TopicPartition(*tp) for tp in partitions]
        found: Mapping[Any, Any] = await coordinator.fetch_committed_offsets(places)
        return found

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        wanted = {
            driver.ensure_aiokafka_TP(tp): OffsetAndMetadata(offset, VOUCHER)
            for tp, offset in offsets.items()
        }
        try:
            await self._ensure_consumer().commit(wanted)
        except (KafkaError, TimeoutError) as exc:  # IllegalStateError is a KafkaError
            log.warning("commit.refused", error=type(exc).__name__)
            return False
        return True
