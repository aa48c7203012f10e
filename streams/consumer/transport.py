"""Faust transport whose commits can never run past work that is not finished (promise I6).

It replaces Faust's lists of acknowledged offsets and gaps by one ledger for each partition, and
takes records straight from the consumer into lanes. What of Faust's private parts it uses, and
why, is in docs/adr/0003-transport-on-private-faust-parts.md.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.consumer.auditor import Auditor
from streams.consumer.colocate import split
from streams.consumer.inloop import InLoopConsumer
from streams.consumer.ledger import Ledger
from streams.consumer.positions import Positions
from streams.logs import FAUST_LOG
from streams.state.lineage import other_log
from streams.state.proof import OtherLog

log = structlog.get_logger(__name__)

FETCH_S: Final = 0.25
YIELD_EVERY: Final = 50
IDLE_S: Final = 0.02


class SafeConsumer(driver.Consumer):
    """Consumer that commits only finished work and never skips a fetched record.

    Attributes:
        ledgers: Deliveries of each input partition.
        undelivered: Where each partition of the current fetch goes on.
        split: Input partitions whose fellows are on another worker.
        fetch_epoch: Grows whenever positions are set, so records fetched before are void.
        auditor: A second account of what may be committed.
        positions: Where the assigned input partitions are read from.
    """

    logger = FAUST_LOG
    app: Any  # a SafeApp; that module imports this one
    _thread: InLoopConsumer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.ledgers: dict[TP, Ledger] = {}
        self.undelivered: dict[TP, int] = {}
        self.split: set[TP] = set()
        self.fetch_epoch = 0
        self.regrouped = False
        self.checking: asyncio.Future[Any] | None = None
        self.crashing: asyncio.Future[Any] | None = None
        self.position_lock = asyncio.Lock()  # a fetch and a seek never overlap
        self.commit_lock = asyncio.Lock()
        self.positions = Positions()
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> InLoopConsumer:
        self.auditor = Auditor(self.app.conf.id, self._moved)
        return InLoopConsumer(self, loop=self.loop, beacon=self.beacon)

    async def _drain_messages(self, fetcher: Any) -> None:
        """Fetch and deliver until stopped (Faust's version loses records on a suspended flow)."""
        while not (self.should_stop or fetcher.should_stop):
            if not self.flow_active:
                # At a stop the wait is cancelled, which would crash Faust's fetcher.
                with contextlib.suppress(asyncio.CancelledError):
                    await self.wait(self.can_resume_flow)  # type: ignore[arg-type] # mode takes any event
                continue
            self._thread.check()
            active = set(self._active_partitions) - self.split - self.app.held()
            if not active:
                await asyncio.sleep(IDLE_S)
                continue
            async with self.position_lock:
                epoch = self.fetch_epoch
                records = await self._getmany(active, FETCH_S) or {}
            self._thread.pace(bool(records))
            await self._rewind(await self._deliver_batch(records, epoch), epoch)
            await asyncio.sleep(0)

    async def _deliver_batch(self, records: Mapping[Any, list[Any]], epoch: int) -> set[TP]:
        """Deliver fairly over partitions; return those with records left."""
        self.undelivered = {tp: batch[0].offset for tp, batch in records.items() if batch}
        waiting: set[TP] = set()
        for count, (tp, record) in enumerate(self.scheduler.iterate(records), 1):
            if epoch != self.fetch_epoch or not self.flow_active:
                return set(self.undelivered)
            if tp in waiting:
                continue
            if await self._deliver(self._to_message(tp, record)):
                self.undelivered[tp] = record.offset + 1
            else:
                waiting.add(tp)
            if not count % YIELD_EVERY:
                await asyncio.sleep(0)
        return waiting

    async def _deliver(self, message: Any) -> bool:
        """Hand one message on; False when it was not taken."""
        intake = self.app.intakes.get(message.topic)
        if intake is None:
            return await self._deliver_changelog(message)
        try:
            if not self.positions.delivers(message):
                return True
        except OtherLog as exc:
            self._refuse(exc)
            return False
        ledger = self.ledgers.setdefault(message.tp, Ledger(message.offset))
        if message.offset < ledger.next:
            return True
        ledger.deliver(message)
        if intake.take(message):
            return True
        ledger.withdraw(message)
        return False

    async def _deliver_changelog(self, message: Any) -> bool:
        """Hand a changelog record to Faust's recovery, unless the flow stops meanwhile."""
        task: asyncio.Future[Any] = asyncio.ensure_future(self.callback(message))
        suspend = asyncio.ensure_future(self.suspend_flow.wait())
        await asyncio.wait({task, suspend}, return_when=asyncio.FIRST_COMPLETED)
        done = task.done()
        for future in (task, suspend):
            future.cancel()
        await asyncio.gather(task, suspend, return_exceptions=True)
        return done

    async def _rewind(self, partitions: set[TP], epoch: int) -> None:
        """Go back to the first undelivered record, unless positions were set since the fetch."""
        if not partitions:
            return
        async with self.position_lock:
            for tp in partitions:
                if epoch == self.fetch_epoch and tp in self.assignment():
                    await self._thread.call_thread(self._seek_to, tp, self.undelivered[tp])

    async def _seek_to(self, tp: TP, offset: int) -> None:
        try:
            self._thread.seek(TopicPartition(*tp), offset)
        except IllegalStateError:
            log.info("rewind.revoked", topic=tp.topic, partition=tp.partition)

    async def perform_seek(self) -> None:
        """Set every input partition to its committed offset, or to its beginning.

        A fetch that outlived a rebalance moved positions on and its records are void. aiokafka
        does not seek where nothing, or offset 0, was committed, so we do.
        """
        async with self.position_lock:
            self.fetch_epoch += 1
            mine, committed, earliest = await self._beginnings()
            self.positions.set(mine, committed, earliest, self.app.proofs)
            for tp, offset in self.positions.read.items():
                if offset != committed.get(tp) or not offset:
                    await self._thread.call_thread(self._seek_to, tp, offset)
            self.ledgers.clear()
            self._committed_offset.update({tp: at for tp, at in committed.items() if at})
            self.auditor.open(self.positions.begin)
            audited = {tp for tp in mine if committed.get(tp)}
            self.auditor.warn_unvouched(await self._thread.commits(audited))

    async def _beginnings(self) -> tuple[set[TP], Mapping[TP, int], Mapping[TP, int]]:
        """Return the input partitions, what is committed of them, and where they begin.

        Where they end now is noted.

        Looked up again when others came meanwhile: their books begin with ours, or what brokers
        have said of them already would be forgotten.
        """
        while True:
            mine = self.inputs()
            committed = await self.seek_to_committed()
            earliest = await self.earliest_offsets(*mine) if mine else {}
            self.positions.unread = dict(await self.highwaters(*mine)) if mine else {}
            if self.inputs() == mine:
                return mine, committed, earliest

    def behind(self, partitions: Iterable[TP]) -> bool:
        """Tell whether something that was there at the assignment was not handed on yet."""
        return self.positions.behind(partitions, self.ledgers, self.auditor.reach)

    def _moved(self, tp: TP, before: int, offset: int) -> None:
        """Go on where a log begins now; one that ends before our position is another log."""
        if offset < before:
            self.checking = asyncio.ensure_future(self._check_end(tp, before))
        elif tp in self.assignment():  # a late answer may tell of what another worker has now
            self.ledgers.setdefault(tp, Ledger(before)).jump(before, offset)

    async def _check_end(self, tp: TP, before: int) -> None:
        """Refuse a log that ends before what was read of it; a seek back is none."""
        end = None
        while end is None:  # without an answer what was written anew would be taken for read
            with contextlib.suppress(KafkaError):
                end = (await self.highwaters(tp))[tp]
            await asyncio.sleep(IDLE_S)
        if end < before:
            why = f"partition {tp.partition} ends at {end}, and was read up to {before}"
            self._refuse(other_log("this worker", tp.topic, why))

    def _refuse(self, exc: OtherLog) -> None:
        """End the worker: what it would read is not what its tables were made from."""
        self.stop_flow()
        self.crashing = asyncio.ensure_future(self.app.crash(exc))

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Seek (used by table recovery); what was fetched before is void."""
        async with self.position_lock:
            self.fetch_epoch += 1
            await super().seek_wait(partitions)

    async def verify_all_partitions_active(self) -> None:
        """Complain of no quiet partition: a fetch session tells only of those that move."""

    def verify_recovery_event_path(self, now: float, tp: TP) -> None:
        """Expect no fetch of changelogs: recovery reads them with a reader of its own."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Like Faust's, but a paused or revoked partition stays paused."""
        self._buffered_partitions.discard(tp)
        if tp not in self._paused_partitions and tp in self.assignment():
            self._active_partitions.add(tp)

    def settle(self, message: Any) -> None:
        """Note that a message needs nothing more."""
        self.app.progress += 1
        self.auditor.finish(message.tp, message.offset)
        ledger = self.ledgers.get(message.tp)
        if ledger is not None:
            ledger.finish(message)

    def finished(self, tp: TP, offset: int) -> bool:
        """Tell whether the event at this offset was committed, or settled in this assignment."""
        ledger = self.ledgers.get(tp)
        settled = ledger is not None and ledger.finished(offset)
        return settled or offset < (self._committed_offset.get(tp) or 0)

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002 - Faust's signature
        """Commit the safe offset of every partition, whatever is asked."""
        async with self.commit_lock:
            known = self._committed_offset
            offsets = self.auditor.allowed(
                {
                    tp: offset
                    for tp, ledger in self.ledgers.items()
                    if (offset := self._safe(tp)) > max(ledger.start, known[tp] or 0)
                }
            )
            if not offsets or not await self._commit(offsets):
                return False
            known.update(offsets)
            self.auditor.committed(offsets)
            return True

    def _safe(self, tp: TP) -> int:
        """Return the offset that may be committed; it passes what holds no event."""
        return self.auditor.reach(tp, self.ledgers[tp].safe())

    def partition_count(self, topic: str) -> int:
        """Return how many partitions a topic has, as far as is known here; 0 is not known."""
        return self._thread.partition_count(topic)

    def inputs(self) -> set[TP]:
        """Return the input partitions that are assigned."""
        return {tp for tp in self.assignment() if tp.topic in self.app.intakes}

    async def prove_membership(self) -> bool:
        """Repeat the last commit: the broker takes one only from a current member of the group."""
        async with self.commit_lock:
            offsets = self.auditor.allowed({tp: self._safe(tp) for tp in self.ledgers})
            if not self.ledgers:  # nothing came yet: what was found committed is committed again
                offsets = {tp: at for tp, at in self._committed_offset.items() if at}
            return bool(offsets) and await self._commit(offsets)

    async def quiesce(self) -> None:
        """Stop delivery, let running work end, commit it, cancel the rest."""
        self.app.serving = False
        self.stop_flow()
        self.app.flow_control.suspend()
        self.app.flow_control.clear()
        works = set(self.app.intakes.values())
        left = await asyncio.gather(*(work.drain(self.app.drain_s) for work in works))
        await self.commit()
        for work in works:
            await work.cancel()
        log.info("worker.quiesced", cancelled=sum(left))

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Settle our work before Faust drops its bookkeeping."""
        await self.quiesce()
        self.fetch_epoch += 1
        self.ledgers.clear()
        self._committed_offset.clear()
        self.app.proofs.clear()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Note which input partitions came without their fellows; fetch the inputs alone.

        Changelogs are read by the recovery's own reader: what we write there must not come back.
        """
        self.split = split(assigned, self.app.families)
        if self.split and not self.regrouped:
            # A static member that comes back with a new topic is given what it had.
            self.regrouped = True
            self._thread.regroup()
        self._thread.leave_out({tp for tp in assigned if tp.topic not in self.app.intakes})
        await super().on_partitions_assigned(assigned, generation_id)
