"""Fetch sessions: a fetch names the partitions that changed, not every one of them again.

aiokafka sends all of its partitions with each fetch and gets them all back, most of them empty;
both in Python. With a hundred partitions that was a fifth of a worker's CPU time, and as much
of the broker's. A session keeps them at the broker: a fetch tells what is new, and the answer
holds what moved.

Source: Kafka, KIP-227 "Introduce Incremental FetchRequests to Increase Partition Scalability".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final, Protocol

from aiokafka.protocol.fetch import FetchRequest

FIRST_VERSION: Final = 7
"""The first version of a fetch that knows sessions; older brokers get everything each time."""
LAST_EPOCH: Final = 2**31 - 1

Place = tuple[str, int]
Wanted = dict[Place, tuple[int, int]]
"""Offset and most bytes of each partition, by topic and number."""


class SessionFetch(FetchRequest):  # type: ignore[misc] # aiokafka publishes no types
    """What one fetch of a session tells the broker."""

    def __init__(
        self, whole: FetchRequest, session: Session, added: Wanted, forgotten: Iterable[Place]
    ) -> None:
        super().__init__(
            whole._max_wait_ms,  # noqa: SLF001 - it has no public name, here and below
            whole._min_bytes,  # noqa: SLF001
            whole._max_bytes,  # noqa: SLF001
            whole._isolation_level,  # noqa: SLF001
            _by_topic((topic, (number, *wanted)) for (topic, number), wanted in added.items()),
            whole._rack_id,  # noqa: SLF001
        )
        self.whole = whole
        self.session_id = session.session_id
        self.session_epoch = session.epoch
        self.forgotten = _by_topic(forgotten)

    def build(self, request_struct_class: Any) -> Any:
        """Return the request of the version that the broker speaks."""
        if request_struct_class.API_VERSION < FIRST_VERSION:
            return self.whole.build(request_struct_class)
        built: Any = super().build(request_struct_class)
        built.session_id = self.session_id
        built.session_epoch = self.session_epoch
        built.forgotten_topics_data = self.forgotten
        return built


class Session:
    """One broker's session.

    Attributes:
        session_id: Given by the broker; 0 is none.
        epoch: Number of the next fetch; 0 begins a session and ends the one before.
        known: What the broker fetches in it.
    """

    def __init__(self) -> None:
        self.session_id = 0
        self.epoch = 0
        self.known: Wanted = {}

    def next(self, request: FetchRequest) -> SessionFetch:
        """Return the fetch that makes the broker fetch just what this request names."""
        wanted: Wanted = {
            (topic, number): (offset, most_bytes)
            for topic, rows in request.topics
            for number, offset, most_bytes in rows
        }
        known = self.known if self.epoch else {}
        self.known = wanted
        added = {place: what for place, what in wanted.items() if known.get(place) != what}
        return SessionFetch(request, self, added, known.keys() - wanted.keys())

    def answered(self, response: Any) -> bool:
        """Take an answer; False when the broker does not know the session: fetch again."""
        if getattr(response, "error_code", 0):
            self.session_id = 0
            self.epoch = 0
            return False
        self.session_id = getattr(response, "session_id", 0)
        self.epoch = self.epoch % LAST_EPOCH + 1 if self.session_id else 0
        return True

    def lost(self) -> None:
        """Begin anew: whether the broker took the last fetch is not known."""
        self.epoch = 0


class Witness(Protocol):
    """Hears every fetch and its answer (``streams.auditor.Auditor``)."""

    def asked(self, topics: Any, /) -> None:
        """Note what a fetch names, before it is sent."""

    def answered(self, request: Any, response: Any, /) -> None:
        """Note an answer that the consumer will see."""


class FetchSessions:
    """aiokafka's client as its fetcher sees it: a session with each broker."""

    def __init__(self, client: Any, witness: Witness | None = None) -> None:
        self._client = client
        self.cluster = client.cluster  # asked for every partition at each look
        self._witness = witness
        self._sessions: defaultdict[int, Session] = defaultdict(Session)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def send(self, node_id: int, request: Any, **options: Any) -> Any:
        """Send a request; a fetch goes out as one of the broker's session."""
        if not isinstance(request, FetchRequest):
            return await self._client.send(node_id, request, **options)
        session = self._sessions[node_id]
        if self._witness is not None:
            self._witness.asked(request.topics)
        while True:
            try:
                response = await self._client.send(node_id, session.next(request), **options)
            except BaseException:  # cancelled as well: the broker counts a fetch that it has read
                session.lost()
                raise
            began = session.epoch == 0
            if session.answered(response) or began:
                if self._witness is not None:
                    self._witness.answered(request, response)
                return response


class Planner:
    """The fetcher's choice of what to do next, without looking at every partition for nothing.

    The fetcher looks whenever something was consumed or answered. While a fetch is under way at
    every broker there is nothing to choose, and its answer makes it look again. Nor does it wait
    for each paused partition, a task's worth of work for each of them at every look: one that
    goes on is seen with the next answer.
    """

    def __init__(self, fetcher: Any) -> None:
        self._fetcher = fetcher
        self._look = fetcher._get_actions_per_node  # noqa: SLF001 - aiokafka has no setting

    def plan(self, assignment: Any) -> Any:
        """Return fetches, resets, seconds to wait, need of metadata, futures that resume."""
        fetcher = self._fetcher
        busy = fetcher._in_flight  # noqa: SLF001 - see above
        if busy and all(broker.nodeId in busy for broker in fetcher._client.cluster.brokers()):  # noqa: SLF001 - see above
            return [], {}, fetcher._fetcher_timeout, False, []  # noqa: SLF001 - see above
        fetches, resets, timeout, unknown_leader, _ = self._look(assignment)
        return fetches, resets, timeout, unknown_leader, []


def keep_sessions(consumer: Any, witness: Witness | None = None) -> None:
    """Let a started consumer keep fetch sessions, and somebody hear them."""
    fetcher = consumer._fetcher  # noqa: SLF001 - aiokafka has no setting
    fetcher._client = FetchSessions(fetcher._client, witness)  # noqa: SLF001 - see above
    fetcher._get_actions_per_node = Planner(fetcher).plan  # noqa: SLF001 - see above


def _by_topic(rows: Iterable[tuple[str, Any]]) -> list[tuple[str, list[Any]]]:
    topics: defaultdict[str, list[Any]] = defaultdict(list)
    for topic, row in rows:
        topics[topic].append(row)
    return list(topics.items())
