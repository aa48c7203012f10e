"""Following whole partitions outside any group, as raw records; commits nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.errors import Misconfigured, Unavailable
from streams.kafka.misnamed import Fetches

POLL_MS: Final = 100


class Tail:
    """Reads partitions from their beginnings, then what is added; a context manager.

    Attributes:
        places: What is followed.
    """

    def __init__(self, bootstrap: str, *, client_id: str) -> None:
        self.places: tuple[TopicPartition, ...] = ()
        self._bootstrap = bootstrap
        self._client_id = client_id
        self._consumer: Any = None
        self._fetches: Any = None

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            Unavailable: No broker answers.
        """
        # Not made before it is needed: one that was never started complains at its end.
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            client_id=self._client_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        try:
            with _answering():
                await self._consumer.start()
        except Unavailable:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._consumer.stop()

    async def partitions(self, topics: Iterable[str]) -> dict[str, int]:
        """Return how many partitions each topic has.

        Raises:
            Misconfigured: A topic is missing.
            Unavailable: No broker answers.
        """
        with _answering():
            # Its own partitions_for_topic knows only topics that it has subscribed to.
            cluster = await self._consumer._client.fetch_all_metadata()  # noqa: SLF001 - pinned with faust
        counts = {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in topics}
        for topic, count in counts.items():
            if not count:
                raise Misconfigured(f"topic {topic} is missing: run `whaticket topics apply`")
        return counts

    async def follow(self, places: Iterable[tuple[str, int]]) -> None:
        """Choose the partitions, to be read from their beginnings.

        Raises:
            Unavailable: No broker answers.
        """
        self.places = tuple(TopicPartition(*place) for place in dict.fromkeys(places))
        self._consumer.assign(self.places)
        if self.places:
            with _answering():
                beginnings = await self._consumer.beginning_offsets(self.places)
            for place, offset in beginnings.items():
                self._consumer.seek(place, offset)
        self._fetches = Fetches(self._consumer, self._bootstrap)

    async def catch_up(self) -> AsyncIterator[Any]:
        """Yield the records up to the present ends; in order inside each partition.

        Raises:
            Unavailable: No broker answers.
        """
        if not self.places:
            return
        with _answering():
            ends = await self._consumer.end_offsets(self.places)
            while any([await self._consumer.position(tp) < end for tp, end in ends.items()]):
                batches = await self._fetches.getmany(timeout_ms=POLL_MS)
                for batch in batches.values():
                    for record in batch:
                        yield record


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except KafkaError as exc:
        raise Unavailable("kafka") from exc
