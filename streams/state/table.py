"""Table of a stage: its writes are awaited, and its recovery ignores fenced-out writers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import faust
import structlog
from faust.types import TP, EventT
from msgspec.structs import replace

from streams.kafka.publish import Publisher, Record
from streams.logs import FAUST_LOG
from streams.state.absent import Absent
from streams.state.controls import CONTROL, FUSE_KEY, OWNER_KEY, Burnt, Owner
from streams.state.records import UNMARKED, Early, Entry, Head, Kept, Unreadable

log = structlog.get_logger(__name__)

Armed = Callable[[bytes, int, int | None, int, Early], None]
"""Told the key, partition, next due time and time of writing of each value that is written or
recovered, and which of its timers are due early."""

Row = tuple[bytes | None, bytes | None, int]
"""Key, value and partition of a changelog record."""


@dataclass(frozen=True, slots=True)
class Logs:
    """The input logs of a table.

    Attributes:
        ids: Id of each topic; another id is another log.
        partitions: How many partitions each has.
    """

    ids: Mapping[str, str]
    partitions: int


class AckedTable(faust.Table[bytes, bytes]):
    """Raw table values by conversation, for the co-partitioned inputs of one stage.

    Attributes:
        owners: Newest control record of each partition.
        ends: Highest offset applied, by input topic and partition.
        proofs: Checksum of the event there, where it is known.
        overridden: Keys whose newest changelog record is a zombie's, and their partitions.
        parked: Parked conversations and their partitions.
        given_up: Events given up in a row, by partition (``streams.deadletters.fuse``).
        absent: Conversations whose value is kept elsewhere (``streams.processor.resting``).
        bytes: Size of the values here.
        armed: Told about due times.
        early: Says which timers of a conversation are due before its state says so.
    """

    logger = FAUST_LOG

    def __init__(self, app: Any, *, name: str, **options: Any) -> None:
        super().__init__(app, name=name, key_type=bytes, value_type=bytes, **options)
        self.owners: dict[int, Owner] = {}
        self.ends: dict[TP, int] = {}
        self.proofs: dict[TP, int] = {}
        self.overridden: dict[bytes, int] = {}
        self.parked: dict[bytes, int] = {}
        self.given_up: dict[int, int] = {}
        self.absent = Absent()
        self.bytes = 0
        self.armed: Armed = _nobody
        self.early: Callable[[bytes], Early] = _nothing

    # Faust's memory store keeps its two dicts for good; to ask for them each time is two calls.
    @cached_property
    def _values(self) -> dict[bytes, bytes]:
        """The values in Faust's memory store; its own access costs a sensor call each."""
        store: Any = self.data
        values: dict[bytes, bytes] = store.data
        return values

    @cached_property
    def _partitions(self) -> dict[bytes, int]:
        """Partition of each key; Faust's store notes it for recovered keys, we for written ones."""
        store: Any = self.data
        partitions: dict[bytes, int] = store._key_partition  # noqa: SLF001 - no public name
        return partitions

    def raw(self, key: bytes) -> bytes | None:
        """Return the stored bytes of a conversation."""
        return self._values.get(key)

    def size(self) -> int:
        """Return how many conversations have their value here."""
        return len(self._values)

    def known(self) -> list[bytes]:
        """Return the keys of the conversations that have their value here."""
        return list(self._values)

    def partition_of(self, key: bytes) -> int | None:
        """Return the partition a stored conversation was written to."""
        known = self._partitions.get(key)
        return self.absent.partition_of(key) if known is None else known

    def epoch(self, partition: int) -> int:
        """Return our epoch as the owner of a partition."""
        owner = self.owners.get(partition)
        return owner.epoch if owner is not None else 0

    async def put(self, key: bytes, kept: Kept, partition: int, publisher: Publisher) -> None:
        """Write to the changelog, await the broker, then make it visible here.

        Raises:
            Unavailable: The broker did not take it.
            Rejected: The record is too large for the broker.
        """
        record = Record(self.changelog_topic.get_topic_name(), key, kept.raw)
        await (await publisher.post(record, partition))
        self._keep(key, kept.raw, partition)
        self._note(key, partition, kept.head)

    async def rest(self, key: bytes, mark: int, publisher: Publisher) -> None:
        """Write to the changelog that a value is elsewhere, await the broker, then let it go.

        The record keeps what proves the logs; the lane of the conversation must be empty.

        Raises:
            Unavailable: The broker did not take it.
        """
        raw, partition = self._values[key], self._partitions[key]
        head, epoch = Head.of(raw), self.epoch(partition)
        entry = Entry(b"", head.applied, epoch=epoch, marks=head.marks, at_ms=head.at_ms, away=mark)
        record = Record(self.changelog_topic.get_topic_name(), key, entry.dumps())
        await (await publisher.post(record, partition))
        if self.raw(key) is raw:  # else it was recovered anew meanwhile
            self._send_away(key, partition, epoch, mark)

    async def renew(self, key: bytes, partition: int, publisher: Publisher) -> None:
        """Write again, as ours, what a zombie overwrote.

        Raises:
            Unavailable: The broker did not take it.
        """
        raw, mark = self.raw(key), self.absent.mark(key, partition)
        if raw is not None:
            entry = replace(Entry.loads(raw), epoch=self.epoch(partition))
            await self.put(key, entry.kept(), partition, publisher)
        elif mark is not None:
            entry = Entry(b"", {}, epoch=self.epoch(partition), away=mark)
            record = Record(self.changelog_topic.get_topic_name(), key, entry.dumps())
            await (await publisher.post(record, partition))
            self._send_away(key, partition, entry.epoch, mark)

    def reached(self, tp: TP, offset: int) -> bool:
        """Tell whether an event at this offset, or a later one, was applied by anyone."""
        return offset <= self.ends.get(tp, -1)

    async def burn(self, partition: int, given_up: int, publisher: Publisher) -> None:
        """Write how many events of a partition were given up in a row."""
        burnt = Burnt(epoch=self.epoch(partition), given_up=given_up)
        record = Record(self.changelog_topic.get_topic_name(), FUSE_KEY, burnt.dumps())
        await (await publisher.post(record, partition))

    async def own(self, partition: int, logs: Logs, publisher: Publisher) -> int:
        """Become the owner of a partition: its epoch is above that of every earlier writer."""
        owner = Owner(self.epoch(partition) + 1, dict(logs.ids), logs.partitions)
        record = Record(self.changelog_topic.get_topic_name(), OWNER_KEY, owner.dumps())
        await (await publisher.post(record, partition))
        self.owners[partition] = owner
        return owner.epoch

    def forget(self, kept: set[int]) -> None:
        """Drop the bookkeeping of partitions that are no longer ours."""
        self.owners = {p: owner for p, owner in self.owners.items() if p in kept}
        self.ends = {tp: end for tp, end in self.ends.items() if tp.partition in kept}
        self.proofs = {tp: mark for tp, mark in self.proofs.items() if tp in self.ends}
        self.overridden = {key: p for key, p in self.overridden.items() if p in kept}
        self.parked = {key: p for key, p in self.parked.items() if p in kept}
        self.given_up = {p: count for p, count in self.given_up.items() if p in kept}
        self.absent.keep(kept)
        ours = (key for key, partition in self._partitions.items() if partition in kept)
        self.bytes = sum(len(self._values.get(key, b"")) for key in ours)

    def apply_changelog_batch(self, batch: Iterable[EventT[Any]]) -> None:
        """Apply records that Faust recovered."""
        messages: list[Any] = [event.message for event in batch]
        self.apply([(m.key, m.value, m.partition) for m in messages])

    def apply(self, rows: Iterable[Row]) -> None:
        """Apply changelog records in the order of the log."""
        for key, raw, partition in rows:
            try:
                self._apply(key, raw, partition)
            except Unreadable as exc:
                log.error(  # noqa: TRY400 - the trace would say no more
                    "table.unreadable", table=self.name, partition=partition, why=str(exc)
                )

    def _apply(self, key: bytes | None, raw: bytes | None, partition: int) -> None:
        if key is None:
            raise Unreadable("no key")
        if key.startswith(CONTROL):
            self._control(key, raw or b"", partition)
            return
        if raw is None:
            self._drop(key, partition)
            return
        head = Head.of(raw)
        if not self._wins(key, partition, head):
            self.overridden[key] = partition
            return
        self.overridden.pop(key, None)
        if head.epoch > self.epoch(partition):  # its control record was lost
            self.owners[partition] = Owner(epoch=head.epoch)
        if head.away is None:
            self._keep(key, raw, partition)
        else:
            self._send_away(key, partition, head.epoch, head.away)
        self._note(key, partition, head)

    def _control(self, key: bytes, raw: bytes, partition: int) -> None:
        """Apply a control record; one of an earlier owner says nothing any more."""
        if key == OWNER_KEY:
            owner = Owner.loads(raw)
            if owner.epoch >= self.epoch(partition):
                self.owners[partition] = owner
        elif key == FUSE_KEY:
            burnt = Burnt.loads(raw)
            if burnt.epoch >= self.epoch(partition):
                self.given_up[partition] = burnt.given_up

    def _wins(self, key: bytes, partition: int, head: Head) -> bool:
        """Tell whether a record may replace what is known: higher epoch, then log order.

        ``applied`` cannot tell: over two topics {m9, t5} and {m11, t4} are not ordered.
        """
        raw = self.raw(key)
        if raw is None:
            return head.epoch >= (self.absent.epoch(key, partition) or 0)
        known = Head.of(raw)
        if head.away is not None and head.epoch == known.epoch:  # of the value, or of an older one
            return all(head.covers(topic, offset) for topic, offset in known.applied.items())
        return head.epoch >= known.epoch

    def _keep(self, key: bytes, raw: bytes, partition: int) -> None:
        values = self._values
        self.bytes += len(raw) - len(values.get(key, b""))
        values[key] = raw
        self._partitions[key] = partition
        self.absent.discard(key, partition)

    def _send_away(self, key: bytes, partition: int, epoch: int, mark: int) -> None:
        self._let_go(key)
        self.absent.add(key, partition, epoch, mark)

    def _let_go(self, key: bytes) -> None:
        self.bytes -= len(self._values.pop(key, b""))
        self._partitions.pop(key, None)

    def _drop(self, key: bytes, partition: int) -> None:
        self._let_go(key)
        self.absent.discard(key, partition)
        self.overridden.pop(key, None)
        self.parked.pop(key, None)
        self.armed(key, partition, None, 0, ())

    def _note(self, key: bytes, partition: int, value: Head) -> None:
        for index, (topic, offset) in enumerate(value.applied.items()):
            tp = TP(topic, partition)
            if offset >= self.ends.get(tp, -1):
                self.ends[tp] = offset
                self.proofs[tp] = value.marks[index] if index < len(value.marks) else UNMARKED
        if value.parked is not None:
            self.parked[key] = partition
        elif self.parked:
            self.parked.pop(key, None)
        self.armed(key, partition, value.due_ms, value.at_ms, value.early)


def _nobody(_: bytes, __: int, ___: int | None, ____: int, _____: Early) -> None:
    """Arm nothing."""


def _nothing(_: bytes) -> Early:
    """Correct nothing."""
    return ()
