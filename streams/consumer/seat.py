"""A seat in a consumer group, for those who read without Faust: its commits are audited.

Rule 1: only what is finished is committed, and only if the auditor finds nothing skipped. Rule 2:
nothing is committed for an assignment that is over. Rule 3: nothing is written from a log that is
not the one that was read before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from schemas.errors import Misconfigured, Unavailable
from streams.consumer.account import Account
from streams.consumer.auditor import Auditor
from streams.consumer.fetching import keep_sessions
from streams.consumer.foreign import forgive
from streams.consumer.lags import Lags
from streams.consumer.ledger import Ledger
from streams.consumer.membership import Replaced, be_static, leave_for_good
from streams.consumer.vouching import Voucher, disproved
from streams.settings import Settings
from streams.state.proof import OtherLog, Proof
from streams.state.records import checksum_of

log = structlog.get_logger(__name__)

POLL_MS: Final = 200
FETCH_WAIT_MS: Final = 1000
"""How long a fetch waits at the broker for a first record; what comes ends it at once."""
DAY_MS: Final = 86_400_000
"""A store may be down for long; the heartbeat alone says that we are alive."""


class Lost(Exception):
    """The partitions of the running batch were taken away: their new owner writes it."""


class Seat:
    """A member of a group that reads some topics, and commits what is finished.

    Attributes:
        name: The group's last word, for logs and metrics.
        auditor: A second account of what may be committed.
        ledgers: What was fetched of each partition, and what of it is not finished.
        assignments: Grows whenever partitions are taken away.
        given_up: Records given up in a row, by partition (``streams.deadletters.fuse``).
        proofs: The last record of each partition that a commit covers.
        last: The last record of each partition that was finished.
        serving: True while there is an assignment.
        progress: Records finished since the start.
        replaced: Why the seat is lost for good, or None.
    """

    def __init__(self, topics: Sequence[str], group: str, settings: Settings) -> None:
        self.topics = topics
        self.group = group
        self.name = group.rsplit(".", 1)[-1]
        self.settings = settings
        self.consumer: Any = None
        self.auditor = Auditor(group, self._moved)
        self.lags = Lags(group)
        self.ledgers: dict[Any, Ledger] = {}
        self.given_up: dict[Any, int] = {}
        self.proofs: dict[Any, Proof] = {}
        self.last: dict[Any, Any] = {}
        self.assignments = 0
        self.opened = -1
        self.serving = False
        self.progress = 0
        self.instance = settings.instance if settings.static_membership else None
        self.replaced: Replaced | None = None

    async def start(self) -> None:
        """Join the group; partitions come later.

        Raises:
            Unavailable: No broker answers.
            Misconfigured: A topic is missing.
        """
        consumer = self._consumer()
        try:
            await consumer.start()
            known = await consumer.topics()
        except BaseException as exc:
            await consumer.stop()
            if isinstance(exc, KafkaError):
                raise Unavailable("kafka") from exc
            raise
        self.consumer = consumer
        if missing := sorted(set(self.topics) - known):
            what = ", ".join(missing)
            raise Misconfigured(f"topics are missing ({what}): run `whaticket topics apply`")
        keep_sessions(consumer, self.auditor)
        forgive(consumer)
        if self.instance is not None:
            be_static(consumer, self.instance, self._fenced)
        consumer.subscribe(self.topics, listener=_Listener(self))

    def _consumer(self) -> AIOKafkaConsumer:
        settings = self.settings
        return AIOKafkaConsumer(
            bootstrap_servers=settings.kafka_bootstrap,
            client_id=f"{self.group}.{settings.instance}",
            group_id=self.group,
            group_instance_id=self.instance,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=int(settings.session_timeout_s * 1000),
            heartbeat_interval_ms=int(settings.session_timeout_s * 1000 / 6),
            max_poll_interval_ms=DAY_MS,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )

    async def stop(self, *, leave: bool = False) -> None:
        """Read no more; a static member keeps its place.

        Args:
            leave: Give the place up at once: this instance does not come back.
        """
        if self.consumer is None:
            return
        if leave and self.instance is not None:
            leave_for_good(self.consumer, self.instance)
        await self.consumer.stop()

    def _fenced(self) -> None:
        """Write nothing more: the generation is another process's."""
        self.replaced = Replaced(self.group, self.instance or "")
        self.assignments += 1
        self.serving = False

    async def fetch(self, most: int) -> Mapping[Any, Sequence[Any]]:
        """Return the next records of each partition; nothing when none came for a moment.

        Raises:
            KafkaError: They cannot be read now.
            Replaced: Another process has the place.
        """
        if self.replaced is not None:
            raise self.replaced
        found: Mapping[Any, Sequence[Any]] = await self.consumer.getmany(
            timeout_ms=POLL_MS, max_records=most
        )
        return found

    async def open(self) -> None:
        """Begin the books of a new assignment where it is read from; else do nothing.

        Raises:
            Lost: It is over already. What brokers have said meanwhile is of the next one, whose
                books need it.
            Unavailable: No broker answers.
            OtherLog: A partition is not the one that was read before.
        """
        now = self.assignments
        if self.opened == now:
            return
        places = self.partitions()
        try:
            # aiokafka has no public question that tells the metadata too
            committed = await self.consumer._coordinator.fetch_committed_offsets(places)  # noqa: SLF001
            begin = await self.consumer.beginning_offsets([p for p in places if p not in committed])
        except KafkaError as exc:
            raise Unavailable("kafka") from exc
        vouchers = {place: Voucher.of(told.metadata) for place, told in committed.items()}
        self.proofs = {place: told.proof for place, told in vouchers.items() if told.proof}
        self.last = {}
        await self._prove()
        if self.assignments != now or self.partitions() != places:
            raise Lost
        begin |= {place: told.offset for place, told in committed.items()}
        self.ledgers = {place: Ledger(offset) for place, offset in begin.items()}
        self.auditor.open(begin)
        self.given_up = {place: told.given_up for place, told in vouchers.items()}
        self.auditor.warn_unvouched(committed)
        self.opened = now

    async def _prove(self) -> None:
        wrong = await disproved(self.settings.kafka_bootstrap, self.proofs)
        for place in sorted(wrong):
            raise OtherLog(
                f"partition {place.partition} of {place.topic} is another log than {self.group} has"
                f" read: there is another record at {self.proofs[place].offset}. Restore the"
                " topic, or set the group back to its beginning: writing again changes nothing"
            )

    def due(self, place: Any, at: int) -> int:
        """Return where what was fetched and not taken begins, given the position."""
        return min(at, self.ledgers[place].next) if place in self.ledgers else at

    def take(self, fetched: Mapping[Any, Sequence[Any]]) -> None:
        """Note which records are to be finished."""
        for place, records in fetched.items():
            for record in records:
                self.ledgers[place].deliver(record)

    def finish(self, record: Any) -> None:
        """Note that a record needs nothing more."""
        self.progress += 1
        place = TopicPartition(record.topic, record.partition)
        self.auditor.finish(place, record.offset)
        self.last[place] = record
        self.ledgers[place].finish(record)

    async def commit(self, places: Iterable[Any]) -> None:
        """Commit what is finished of some partitions, unless that skips something.

        Raises:
            Lost: They were taken away.
            Unavailable: The broker did not take it.
        """
        await self._commit({place: self.given_up.get(place, 0) for place in places})

    async def burn(self, place: Any, given_up: int) -> None:
        """Write down how many records of a partition were given up in a row; errors as above."""
        await self._commit({place: given_up})

    async def _commit(self, counts: Mapping[Any, int]) -> None:
        if self.opened != self.assignments:
            raise Lost
        safe = {place: self.auditor.reach(place, self.ledgers[place].safe()) for place in counts}
        allowed = self.auditor.allowed(safe)
        if not allowed:
            return
        try:
            await self.consumer.commit(
                {
                    place: OffsetAndMetadata(offset, self._voucher(place, offset, counts[place]))
                    for place, offset in allowed.items()
                }
            )
        except KafkaError as exc:
            log.warning("commit.refused", group=self.group, error=type(exc).__name__)
            raise Unavailable("kafka") from exc
        self.auditor.committed(allowed)

    def _voucher(self, place: Any, offset: int, given_up: int) -> str:
        """Return the metadata of a commit."""
        last = self.last.get(place)
        if last is not None and last.offset < offset:
            self.proofs[place] = Proof(last.offset, checksum_of(last.value))
        return str(Voucher(given_up=given_up, proof=self.proofs.get(place)))

    def partitions(self) -> set[Any]:
        """Return the partitions that are assigned."""
        mine: set[Any] = self.consumer.assignment()
        return mine

    async def ends(self) -> Mapping[Any, int]:
        """Return where their logs end.

        Raises:
            KafkaError: No broker says.
        """
        found: Mapping[Any, int] = await self.consumer.end_offsets(list(self.partitions()))
        return found

    def measure(self) -> None:
        """Tell how far behind each partition of the running assignment is."""
        mine = self.partitions() if self.opened == self.assignments else set()
        ledgers = {place: each for place, each in self.ledgers.items() if place in mine}
        self.lags.tell(ledgers, self.consumer.highwater)

    def _moved(self, place: Any, before: int, offset: int) -> None:
        """Begin the books anew where a log ends before what was read of it: it is another log.

        Stages refuse it for their tables' sake. Who keeps no offsets may read it.
        """
        if offset < before:
            self.auditor.accounts[place] = Account(offset)
            self.proofs.pop(place, None)
            self.last.pop(place, None)
            log.error(
                "offsets.other_log",
                group=self.group,
                topic=place.topic,
                partition=place.partition,
                read=before,
                begin=offset,
                why="the log ends before what was read of it; it is read from its beginning",
            )


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka publishes no types
    """Tells the seat that its partitions changed."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat

    async def on_partitions_revoked(self, _revoked: Any) -> None:
        self.seat.assignments += 1
        self.seat.serving = False

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self.seat.serving = True
        log.info("sink.assigned", sink=self.seat.name, partitions=len(assigned))
