"""Recovery of the tables: read in bulk, owned anew, checked against the logs, then served.

Rule 1: no input is delivered before the seek to the committed offsets (faust-streaming issue 596).
Rule 2: the owner epoch of a partition is raised before it is served: a zombie's writes lose.
Rule 3: a table that is ahead of its inputs belongs to other logs; the worker refuses to start.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterable
from typing import Any, Final, cast

import structlog
from confluent_kafka import Consumer, KafkaError, TopicPartition
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.types import TP
from mode import Seconds
from mode.services import WaitArgT

from schemas.errors import PipelineError, Unavailable
from streams.kafka import librdkafka
from streams.logs import FAUST_LOG
from streams.metrics import RECOVERING, RECOVERY_SECONDS
from streams.state.lineage import check_counts, check_ends, check_ids, proofs
from streams.state.table import AckedTable, Logs

log = structlog.get_logger(__name__)

BATCH: Final = 5000
POLL_S: Final = 0.1
RETRY_S: Final = 1.0
BROKEN: Final = (
    "the batch of {}[{}]@{} is broken at the broker: other bytes are there than were written."
    " Nothing is decided from it; let a replica with a good copy lead the partition"
)


class SafeRecovery(Recovery):
    """Recovery that takes a partition over before anything of it is served."""

    logger = FAUST_LOG

    async def _wait(self, coro: WaitArgT, timeout: Seconds | None = None) -> None:  # noqa: ARG002, ASYNC109 - Faust's signature
        """Wait as long as it takes, or until a rebalance.

        Faust gives all of the reading the time of one request, and ends its recovery without a
        word when that is over. The watchdog sees a recovery that makes no progress.
        """
        await super()._wait(coro)

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Take over, then let Faust seek and resume."""
        self.app.consumer.stop_flow()  # resumed by super() after its seek
        await self._wait(self._take_over())
        await super().on_recovery_completed(generation_id)
        self._serve(generation_id)

    async def _resume_streams(self, generation_id: int = 0) -> None:
        self.app.consumer.stop_flow()
        await super()._resume_streams(generation_id)
        self._serve(generation_id)

    def _serve(self, generation_id: int) -> None:
        app: Any = self.app
        if app.consumer_generation_id == generation_id:
            app.serving = True
            RECOVERING.set(0)
            log.info("worker.serving", partitions=len(app.consumer.assignment()))

    async def _take_over(self) -> None:
        """Own every assigned changelog partition; write again what zombies overwrote."""
        app: Any = self.app
        app.engine.check_growth()  # before anything is written to a partition that is new
        tables = cast(list[AckedTable], list(self.tables.values()))
        for table in tables:
            kept = {tp.partition for tp in self.actives_for_table[cast(Any, table)]}
            table.forget(kept)
            app.engine.keep(table, kept)
            check_ids(table, app.topic_ids)
            check_counts(table, app.partitions)
        await self._check_ends(tables)
        app.proofs = proofs(tables)
        while True:
            try:
                await _all(self._own(table) for table in tables)
            except Unavailable as exc:
                log.warning("recovery.waiting", service=exc.service)
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def _own(self, table: AckedTable) -> None:
        app: Any = self.app
        partitions = {tp.partition for tp in self.actives_for_table[cast(Any, table)]}
        ids = {topic: app.topic_ids[topic] for topic in app.engine.inputs(table)}
        logs = Logs(ids, app.partitions)
        await _all(table.own(p, logs, app.engine.publisher) for p in partitions)
        while table.overridden:
            key, partition = next(iter(table.overridden.items()))
            await table.renew(key, partition, app.engine.publisher)
            del table.overridden[key]

    async def _check_ends(self, tables: Iterable[AckedTable]) -> None:
        applied = {tp: end for table in tables for tp, end in table.ends.items()}
        if not applied:
            return
        ends = await self.app.consumer.highwaters(*applied)
        check_ends(applied, ends)

    async def _build_offsets(
        self, consumer: Any, tps: set[TP], destination: Any, title: str
    ) -> None:
        """Load what is missing of the active changelogs before Faust looks at them.

        It moves Faust's own "read up to here" offsets to the ends, so Faust reads nothing: its
        recovery takes records one by one, and hangs when it is done before it waits for the end.
        """
        await super()._build_offsets(consumer, tps, destination, title)
        if title != "active":
            return
        RECOVERING.set(1)
        ends = self.active_highwaters
        missing = {tp: destination[tp] + 1 for tp in tps if _end(ends[tp]) > destination[tp]}
        if missing:
            await self._load(missing, destination)
            for tp in missing:  # a Counter, whose update() adds
                destination[tp] = ends[tp]  # the last records may be compacted

    async def _load(self, missing: dict[TP, int], destination: Any) -> None:
        began, count, left = time.monotonic(), 0, set(missing)
        reader = self._reader()

        def read() -> asyncio.Future[list[Any]]:
            return asyncio.ensure_future(asyncio.to_thread(reader.consume, BATCH, POLL_S))

        reader.assign([TopicPartition(*tp, start) for tp, start in missing.items()])
        reading = read()
        try:
            while left:
                batch = await asyncio.shield(reading)
                if full := len(batch) == BATCH:
                    reading = read()  # comes while this one is applied
                count += self._apply(batch, left, destination)
                if left and not full:
                    reading = read()
        finally:
            await asyncio.wait({reading})  # a rebalance cancels us, not the thread
            await asyncio.to_thread(reader.close)
        seconds = time.monotonic() - began
        RECOVERY_SECONDS.set(seconds)
        log.info("recovery.bulk", records=count, seconds=round(seconds, 2))

    def _reader(self) -> Consumer:
        servers = ",".join(f"{url.host}:{url.port}" for url in self.app.conf.broker_consumer)
        return librdkafka.consumer(
            servers,
            f"{self.app.conf.id}.recovery",  # required; nothing is committed
            {
                "client.id": f"{self.app.conf.broker_client_id}.recovery",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "fetch.message.max.bytes": 4 << 20,
                "queued.max.messages.kbytes": 64 << 10,
            },
        )

    def _apply(self, batch: Iterable[Any], left: set[TP], destination: Any) -> int:
        """Apply one batch; a partition is complete at its high water mark or at its end.

        An end before the mark is none: a broker that leads since just now learns from the others
        how far they have the log, and shows no more of it until then (KIP-207).
        """
        found: dict[tuple[str, int], list[Any]] = {}
        for message in batch:
            place = (message.topic(), message.partition())
            if (error := message.error()) is None:
                found.setdefault(place, []).append(message)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                if message.offset() > self.active_highwaters[TP(*place)]:
                    left.discard(TP(*place))
            elif error.code() == KafkaError._BAD_MSG:  # noqa: SLF001 - its public name
                raise PipelineError(BROKEN.format(*place, message.offset()))
            else:
                raise Unavailable("kafka")
        for place, messages in found.items():
            tp = TP(*place)
            table = cast(AckedTable, self.tp_to_table[tp])
            table.apply([(m.key(), m.value(), tp.partition) for m in messages])
            last = messages[-1].offset()
            destination[tp] = max(destination[tp], last)
            if last >= self.active_highwaters[tp]:
                left.discard(tp)
        count = sum(map(len, found.values()))
        cast(Any, self.app).progress += count
        return count


class SafeTables(TableManager):
    """Table manager with our recovery, which starts at once."""

    logger = FAUST_LOG

    @property
    def recovery(self) -> Recovery:
        """Recovery service used by this table manager."""
        if self._recovery is None:
            self._recovery = SafeRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        """Start without Faust's fixed sleep of one second."""
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()


def _end(highwater: int | None) -> int:
    """Return the offset of the newest record; -1 is none."""
    return -1 if highwater is None else highwater


async def _all(works: Iterable[Awaitable[Any]]) -> None:
    """Wait for all, also when one fails: whoever tries again must find none of them at work."""
    for ended in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(ended, BaseException):
            raise ended
