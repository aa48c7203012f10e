"""The loop without a broker: a recording publisher, an app that has every partition."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from faust.types import TP

from agents.ports import Agent
from schemas.errors import Refusing, Rejected, Unavailable
from schemas.events import Event
from schemas.topics import Topic
from streams.kafka.publish import MAX_RECORD_BYTES, Publisher, Record, record_of
from streams.processor.deciding import Decider
from streams.processor.lanes import Lanes
from streams.processor.loop import Loop
from streams.processor.parker import Parker
from streams.processor.resting import Rest, Resting, Values
from streams.processor.stage import Parked, Stage
from streams.state.absent import Absent
from streams.state.records import Entry
from streams.state.table import AckedTable
from streams.watch.health import Dependencies
from streams.watch.pulse import Pulse
from tests.streams.loop.toy import JsonCodec, Names, Tally

NOW_MS = 1_700_000_100_000
IDLE_MS = 1000
NAMES = Names("unit")


class FixedClock:
    def __init__(self) -> None:
        self.ms = NOW_MS

    def now_ms(self) -> int:
        return self.ms


class FakePublisher(Publisher):
    """Keeps what is posted; may fail some of it."""

    def __init__(self) -> None:
        super().__init__("nowhere:1", client_id="fake")
        self.posted: list[tuple[Record, int | None]] = []
        self.refuse: Callable[[Record], Exception | None] = lambda _: None

    async def post(
        self, record: Record, partition: int | None = None
    ) -> asyncio.Future[tuple[int, int]]:
        future: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
        if (exc := self.refuse(record)) is not None:
            future.set_exception(exc)
        else:
            self.posted.append((record, partition))
            future.set_result((partition or 0, len(self.posted)))
        return future

    def on(self, topic: str) -> list[Record]:
        return [record for record, _ in self.posted if record.topic == topic]


@dataclass(eq=False)  # like Faust's, told apart by identity
class FakeMessage:
    topic: str
    offset: int
    key: bytes | None
    value: bytes | None
    partition: int = 0
    headers: Sequence[tuple[str, bytes]] = ()
    generation_id: int = 1
    timestamp: float = 1_700_000_000.0

    @property
    def tp(self) -> TP:
        return TP(self.topic, self.partition)


@dataclass
class FakeConsumer:
    settled: list[Any] = field(default_factory=list)
    done: set[tuple[str, int]] = field(default_factory=set)

    def settle(self, message: Any) -> None:
        self.settled.append(message)
        self.done.add((message.topic, message.offset))

    def finished(self, tp: TP, offset: int) -> bool:
        return (tp.topic, offset) in self.done


class FakeFlow:
    def __init__(self) -> None:
        self.active = True

    def is_active(self) -> bool:
        return self.active


class FakeStore:
    def __init__(self) -> None:
        self.data: dict[bytes, bytes] = {}
        self._key_partition: dict[bytes, int] = {}


class FakeChangelog:
    def get_topic_name(self) -> str:
        return "changelog"


class FakeTable(AckedTable):
    """The table of a stage, without Faust's services around it."""

    def __init__(self) -> None:
        self.name = "unit"
        self.owners = {}
        self.ends = {}
        self.proofs = {}
        self.overridden = {}
        self.parked = {}
        self.given_up = {}
        self.absent = Absent()
        self.bytes = 0
        self.armed = lambda *_: None
        self.early = lambda _: ()
        self._data: Any = FakeStore()
        self._changelog_topic: Any = FakeChangelog()

    def entry(self, key: bytes) -> Entry:
        raw = self.raw(key)
        assert raw is not None
        return Entry.loads(raw)


class FakeShelf:
    """Where values rest, without a database.

    Attributes:
        rows: By stage, key and mark, in the order in which they came.
        numbers: Of each row, also of one that was deleted.
        down: What every method raises, if anything.
    """

    def __init__(self) -> None:
        self.rows: dict[tuple[str, bytes, int], bytes] = {}
        self.numbers: dict[tuple[str, bytes, int], int] = {}
        self.down: Exception | None = None

    def _answer(self) -> None:
        if self.down is not None:
            raise self.down

    async def keep(self, stage: str, values: Values, /) -> Mapping[bytes, int]:
        self._answer()
        for key, (mark, raw) in values.items():
            if (stage, key, mark) not in self.rows:
                self.numbers[stage, key, mark] = max(self.numbers.values(), default=0) + 1
            self.rows.setdefault((stage, key, mark), raw)
        return {key: self.numbers[stage, key, mark] for key, (mark, _) in values.items()}

    async def find(self, stage: str, key: bytes, mark: int, /) -> bytes | None:
        self._answer()
        return self.rows.get((stage, key, mark))

    async def tidy(self, stage: str, numbers: Mapping[bytes, int], /) -> None:
        self._answer()
        for row in list(self.rows):
            if row[0] == stage and self.numbers[row] < numbers.get(row[1], -1):
                del self.rows[row]


class FakeConf:
    id = "whaticket.unit"


class FakeApp:
    def __init__(self) -> None:
        self.conf = FakeConf()
        self.consumer = FakeConsumer()
        self.flow_control = FakeFlow()
        self.consumer_generation_id = 1
        self.partitions = 1
        self.serving = True
        self.crashed: BaseException | None = None

    async def crash(self, exc: BaseException) -> None:
        self.crashed = exc


class Rig:
    """One stage's lanes, loop and table, fed by hand."""

    def __init__(  # noqa: PLR0913 - a test sets one or two of them
        self,
        agent: Agent[Any],
        *,
        parked: Parked | None = None,
        parks: bool = False,
        behind: Parked | None = None,
        max_inflight: int = 100,
        lane_limit: int = 100,
        state: type[Any] = Tally,
        inputs: tuple[Topic, ...] = (NAMES.inbox, NAMES.answered),
        timer_topic: Topic | None = None,
        max_inflight_bytes: int = 1 << 20,
        shelf: FakeShelf | None = None,
    ) -> None:
        self.app = FakeApp()
        self.publisher = FakePublisher()
        self.table = FakeTable()
        self.dependencies = Dependencies()
        self.codec = JsonCodec()
        self.clock = FixedClock()
        self.stage = Stage(
            name="unit",
            inputs=inputs,
            state=state,
            timer_topic=timer_topic,
            agent=agent,
            parked=parked,
            parks=parks,
            behind=behind,
            max_inflight=max_inflight,
            lane_limit=lane_limit,
            max_inflight_bytes=max_inflight_bytes,
        )
        self.pulse = Pulse(self.prove, 1e9)
        self.loop = Loop(
            self.app,
            self.table,
            self.publisher,
            pulse=self.pulse,
            dependencies=self.dependencies,
        )
        self.lanes = self.loop.lanes = Lanes(self.app, self.stage, self.loop)
        self.loop.decider = Decider(self.stage, self.lanes, self.codec, self.clock)
        self.loop.parker = Parker(self.loop.decider, self.app.conf.id, self.table.epoch)
        self.shelf = FakeShelf() if shelf is None else shelf
        self.resting = self.loop.resting = Resting(
            self.table,
            self.lanes,
            self.publisher,
            pulse=self.pulse,
            clock=self.clock,
            rest=Rest(shelf=self.shelf, idle_ms=IDLE_MS),
        )

    async def prove(self) -> bool:
        return True

    def message(self, event: Event, offset: int, **more: Any) -> FakeMessage:
        record = record_of(event, self.codec)
        return FakeMessage(record.topic, offset, record.key, record.value, **more)

    async def idle(self) -> None:
        """Wait until nothing is in flight."""
        while self.lanes.lanes:
            await asyncio.gather(*[lane.task for lane in self.lanes.lanes.values() if lane.task])

    async def feed(self, *messages: FakeMessage) -> None:
        for message in messages:
            assert self.lanes.take(message)
        await self.idle()


def failing(*errors: Exception) -> Callable[[Record], Exception | None]:
    """Refuse as often as there are errors."""
    left = list(errors)
    return lambda _: left.pop(0) if left else None


def too_large(record: Record) -> Exception | None:
    """Refuse what Kafka would."""
    size = len(record.key or b"") + len(record.value or b"")
    return Rejected("record_too_large") if size > MAX_RECORD_BYTES else None


REJECTED = Rejected("no_good", "as the test wants it")
DOWN = Unavailable("postgres")
REFUSING = Refusing("postgres", "postgres refuses (28P01): check POSTGRES_DSN")
