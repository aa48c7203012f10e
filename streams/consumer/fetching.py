"""Fetch sessions: a fetch names the partitions that changed, not every one of them again.

aiokafka sends all of its partitions with each fetch and gets them all back, most of them empty;
both in Python. With a hundred partitions that was a fifth of a worker's CPU time, and as much
of the broker's. A session keeps them at the broker: a fetch tells what is new, and the answer
holds what moved.

Source: Kafka, KIP-227 "Introduce Incremental FetchRequests to Increase Partition Scalability".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from typing import Any, Final, Protocol

from aiokafka.protocol.fetch import FetchRequest

FIRST_VERSION: Final = 7
"""The first version of a fetch that knows sessions; older brokers get everything each time."""
LAST_EPOCH: Final = 2**31 - 1

Place = tuple[str, int]
Wanted = dict[Place, tuple[int, int]]
"""Offset and most bytes of each partition, by topic and number."""
Bounds = tuple[int, int, int, int, str]
"""Longest wait in ms, least and most bytes, isolation level, rack."""


class Fetch(FetchRequest):  # type: ignore[misc] # aiokafka publishes no types
    """A fetch of everything that a broker leads.

    Attributes:
        wanted: What is fetched.
    """

    def __init__(self, bounds: Bounds, wanted: Wanted) -> None:
        *most, rack_id = bounds
        super().__init__(*most, [], rack_id)
        self.bounds = bounds
        self.wanted = wanted
        self._topics: list[tuple[str, list[Any]]] | None = None

    @classmethod
    def of(cls, request: FetchRequest) -> Fetch:
        """Return a fetch of aiokafka's own as one of ours."""
        if isinstance(request, cls):
            return request
        bounds = (
            request._max_wait_ms,  # noqa: SLF001 - it has no public name, here and below
            request._min_bytes,  # noqa: SLF001
            request._max_bytes,  # noqa: SLF001
            request._isolation_level,  # noqa: SLF001
            request._rack_id,  # noqa: SLF001
        )
        rows = ((topic, row) for topic, found in request.topics for row in found)
        return cls(bounds, {(topic, number): (at, most) for topic, (number, at, most) in rows})

    @property
    def topics(self) -> list[tuple[str, list[Any]]]:
        """By topic, the partitions with offset and most bytes.

        Made when somebody asks: of a hundred partitions seldom more than one has moved.
        """
        if self._topics is None:
            rows = ((topic, (number, *what)) for (topic, number), what in self.wanted.items())
            self._topics = _by_topic(rows)
        return self._topics

    def answered(self, response: Any) -> None:
        """Name no other partitions from now on than the answer does."""
        self._topics = [
            (topic, [(row[0], *self.wanted[topic, row[0]]) for row in rows])
            for topic, rows in response.topics
        ]

    def build(self, request_struct_class: Any) -> Any:
        """Return the request of the version that the broker speaks."""
        self._topics = self.topics
        return super().build(request_struct_class)


class SessionFetch(Fetch):
    """What one fetch of a session tells the broker."""

    def __init__(
        self, whole: Fetch, session: Session, added: Wanted, forgotten: Iterable[Place]
    ) -> None:
        super().__init__(whole.bounds, added)
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

    def next(self, request: Fetch) -> SessionFetch:
        """Return the fetch that makes the broker fetch just what this request names."""
        wanted = request.wanted
        known = self.known if self.epoch else {}
        self.known = wanted
        added = {place: what for place, what in wanted.items() if known.get(place) != what}
        gone = () if known.keys() <= wanted.keys() else known.keys() - wanted.keys()
        return SessionFetch(request, self, added, gone)

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
    """Hears every fetch and its answer (``streams.consumer.auditor.Auditor``)."""

    def asked(self, request: Any, /) -> None:
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
        fetch = Fetch.of(request)
        session = self._sessions[node_id]
        if self._witness is not None:
            self._witness.asked(fetch)
        while True:
            try:
                response = await self._client.send(node_id, session.next(fetch), **options)
            except BaseException:  # cancelled as well: the broker counts a fetch that it has read
                session.lost()
                raise
            began = session.epoch == 0
            if session.answered(response) or began:
                fetch.answered(response)
                if self._witness is not None:
                    self._witness.answered(fetch, response)
                return response


class Planner:
    """The fetcher's choice of what to do next, without looking at every partition for nothing.

    The fetcher looks whenever something was consumed or answered. While a fetch is under way at
    every broker, or its last answer is not consumed, there is nothing to choose, and what ends
    that makes it look again. Nor does it wait for each paused partition, a task's worth of work
    for each of them at every look: one that goes on is seen with the next answer.

    Who leads which partition is looked up once for an assignment and its metadata. Whatever is
    not plain (a partition without leader or position) is left to aiokafka's own look.
    """

    def __init__(self, fetcher: Any) -> None:
        self._fetcher = fetcher
        self._look = fetcher._get_actions_per_node  # noqa: SLF001 - aiokafka has no setting
        self._known: tuple[Any, Any] = None, None
        self._leaders: dict[Place, int] = {}
        self._led: Mapping[int, list[tuple[Place, Any]]] = {}

    def plan(self, assignment: Any) -> Any:
        """Return fetches, resets, seconds to wait, need of metadata, futures that resume."""
        fetcher = self._fetcher
        busy = fetcher._in_flight  # noqa: SLF001 - see above
        if busy and all(broker.nodeId in busy for broker in fetcher._client.cluster.brokers()):  # noqa: SLF001 - see above
            return [], {}, fetcher._fetcher_timeout, False, []  # noqa: SLF001 - see above
        if self._lead(assignment):
            held = self._held()
            fetches = self._fetches(busy, held)
            if fetches is not None:
                wait_s = min(held.values(), default=fetcher._fetcher_timeout)  # noqa: SLF001 - see above
                return fetches, {}, wait_s, False, []
        fetches, resets, timeout, unknown_leader, _ = self._look(assignment)
        return fetches, resets, timeout, unknown_leader, []

    def _lead(self, assignment: Any) -> bool:
        """Know the leader of each partition; False when one has none, or replicas are read."""
        cluster = self._fetcher._client.cluster  # noqa: SLF001 - see above
        now = (assignment, cluster._partitions)  # noqa: SLF001 - new metadata are a new object
        if self._fetcher._preferred_read_replica:  # noqa: SLF001 - see above
            return False
        if self._known[0] is now[0] and self._known[1] is now[1]:
            return True
        leaders = {tp: cluster.leader_for_partition(tp) for tp in assignment.tps}
        if not all(node is not None and node >= 0 for node in leaders.values()):
            return False
        led = defaultdict(list)
        for tp, node in leaders.items():
            led[node].append((tp, assignment.state_value(tp)))
        self._known, self._leaders, self._led = now, leaders, led
        return True

    def _held(self) -> dict[int, float]:
        """Return brokers of whose last answer something is not consumed, and for how long yet."""
        held: dict[int, float] = {}
        for tp, found in self._fetcher._records.items():  # noqa: SLF001 - see above
            left_s = found.calculate_backoff()
            if left_s and (node := self._leaders.get(tp)) is not None:
                held[node] = max(left_s, held.get(node, 0))
        return held

    def _fetches(
        self, busy: Container[int], held: Container[int]
    ) -> list[tuple[int, Fetch]] | None:
        """Return a fetch for each other broker; None when a partition has no position."""
        fetcher = self._fetcher
        records, most = fetcher._records, fetcher._max_partition_fetch_bytes  # noqa: SLF001 - see above
        bounds = (
            fetcher._fetch_max_wait_ms,  # noqa: SLF001 - see above
            fetcher._fetch_min_bytes,  # noqa: SLF001
            fetcher._fetch_max_bytes,  # noqa: SLF001
            fetcher._isolation_level,  # noqa: SLF001
            fetcher._client_rack or "",  # noqa: SLF001
        )
        fetches = []
        for node, led in self._led.items():
            if node in busy:
                continue
            wanted: Wanted = {}
            for tp, state in led:
                position = state._position  # noqa: SLF001 - the property asserts, a hundred times
                if tp in records:
                    continue
                if position is None:
                    return None
                if not state._paused:  # noqa: SLF001 - see above
                    wanted[tp] = position, most
            if wanted and node not in held:
                fetches.append((node, Fetch(bounds, wanted)))
        return fetches


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
