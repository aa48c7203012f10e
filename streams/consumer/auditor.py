"""The auditor: no commit passes an event that is not finished (promise I6), by a second account.

The ledger decides what is committed. The auditor keeps books of its own, from what brokers
answered and from what was finished, and refuses a commit that they do not cover.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog
from aiokafka import TopicPartition

from streams.consumer.account import Account, count
from streams.consumer.batches import offsets
from streams.metrics import AUDITED, LOST, SKIPPED_OFFSETS

log = structlog.get_logger(__name__)

NO_ERROR: Final = 0
OUT_OF_RANGE: Final = 1
"""Error code of a fetch below the beginning of a log, or beyond its end."""
VOUCHER: Final = "audited"
"""Metadata of our commits: every offset below was accounted for. An operator's reset has none."""

Moved = Callable[[TopicPartition, int, int], None]
"""Told a partition, where it was read and where its log begins, when the two do not meet."""


class Auditor:
    """The accounts of the input partitions that a member of a group reads.

    Attributes:
        group: The group.
        accounts: By partition.
        expelled: Where partitions were read when the broker had no such offset.
        lost: Up to where the newest loss of a partition went, so that it is told once.
        moved: Told when such a partition is read again, from another offset.
    """

    def __init__(self, group: str, moved: Moved) -> None:
        self.group = group
        self.accounts: dict[TopicPartition, Account] = {}
        self.expelled: dict[TopicPartition, int] = {}
        self.lost: dict[TopicPartition, int] = {}
        self.moved = moved

    def open(self, positions: Mapping[TopicPartition, int]) -> None:
        """Begin anew: these partitions are read from here, nothing else is.

        Brokers may have answered before: what they said of the log stays true.
        """
        before, self.accounts = self.accounts, {}
        for tp, offset in positions.items():
            self.accounts[tp] = account = Account(offset)
            for counted in (LOST, SKIPPED_OFFSETS):
                counted.labels(tp.topic, self.group)  # 0 from now on: what grows can be seen
            if (known := before.get(tp)) is not None:
                account.take_over(known)

    def warn_unvouched(self, found: Mapping[Any, Any]) -> None:
        """Warn of offsets that were committed by somebody who does not audit them.

        Args:
            found: Offset and metadata of commits, by partition.
        """
        for place, told in found.items():
            if told.offset and not told.metadata:
                log.warning(
                    "audit.unvouched",
                    group=self.group,
                    topic=place.topic,
                    partition=place.partition,
                )

    def asked(self, request: Any) -> None:
        """Note a fetch before it is sent."""
        if not self.expelled:
            return
        for topic, rows in request.topics:
            for number, offset, _ in rows:
                tp = TopicPartition(topic, number)
                known = self.expelled.get(tp)
                if known is not None and offset != known:
                    del self.expelled[tp]
                    self._moved(tp, known, offset)

    def _moved(self, tp: TopicPartition, before: int, offset: int) -> None:
        if offset > before:
            self.accounts.setdefault(tp, Account(before)).told(before, offset, ())
        # After a seek to the committed offset the same loss is met again.
        if offset > max(before, self.lost.get(tp, before)):
            self.lost[tp] = offset
            LOST.labels(tp.topic, self.group).inc(offset - before)
            log.error(
                "offsets.lost",
                group=self.group,
                topic=tp.topic,
                partition=tp.partition,
                first=before,
                last=offset - 1,
                count=offset - before,
                why="deleted before they were read; reading goes on at the beginning of the log",
            )
        self.moved(tp, before, offset)

    def answered(self, request: Any, response: Any) -> None:
        """Note what the broker answered to a fetch."""
        for topic, partitions in response.topics:
            for number, error, _, *rest in partitions:
                tp = TopicPartition(topic, number)
                if error == OUT_OF_RANGE:
                    self.expelled[tp] = _offset(request, topic, number)
                elif error == NO_ERROR and rest[-1]:
                    asked = _offset(request, topic, number)
                    _book(self.accounts.setdefault(tp, Account(asked)), asked, rest[-1])

    def finish(self, tp: TopicPartition, offset: int) -> None:
        """Note that an event needs nothing more."""
        account = self.accounts.get(tp)
        if account is not None:
            account.finish(offset)

    def reach(self, tp: TopicPartition, offset: int) -> int:
        """Return the first offset from this one on that may hold an event."""
        account = self.accounts.get(tp)
        return offset if account is None else account.reach(offset)

    def behind(self, ends: Mapping[TopicPartition, int]) -> int:
        """Return how many records are not committed, given the ends of the logs."""
        done = {tp: account.reach(account.since) for tp, account in self.accounts.items()}
        return sum(max(end - done.get(tp, end), 0) for tp, end in ends.items())

    def allowed(self, wanted: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Return the commits that skip nothing; tell of those that do."""
        return {tp: offset for tp, offset in wanted.items() if self._covers(tp, offset)}

    def _covers(self, tp: TopicPartition, offset: int) -> bool:
        account = self.accounts.get(tp)
        if account is None:
            log.error(
                "audit.unknown",
                group=self.group,
                topic=tp.topic,
                partition=tp.partition,
                offset=offset,
            )
            return False
        missing = account.missing(offset)
        if missing:
            SKIPPED_OFFSETS.labels(tp.topic, self.group).inc(count(missing))
            log.error(
                "audit.skipped",
                group=self.group,
                topic=tp.topic,
                partition=tp.partition,
                commit=offset,
                first=missing[0][0],
                count=count(missing),
                why="a commit would pass events that are not finished; it is refused",
            )
        return not missing

    def committed(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Close the books up to what the broker has taken."""
        for tp, offset in offsets.items():
            account = self.accounts.get(tp)
            if account is not None and offset > account.since:
                AUDITED.labels(tp.topic, self.group).inc(offset - account.since)
                account.close(offset)


def _offset(request: Any, topic: str, partition: int) -> int:
    """Return where a fetch asked a partition to be read."""
    for name, rows in request.topics:
        if name == topic:
            for number, offset, _ in rows:
                if number == partition:
                    return int(offset)
    raise LookupError(topic, partition)


def _book(account: Account, asked: int, raw: bytes) -> None:
    """Enter the batches of an answer; they follow one another without a hole in the log."""
    begin = asked
    for (_, after), present in offsets(raw):
        account.told(begin, after, ((max(first, asked), end) for first, end in present))
        begin = after
