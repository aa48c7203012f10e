"""One Faust app that carries several stages (all-in-one), or one (split)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from faust.types import TP

from agents.ports import Clock
from schemas.errors import Misconfigured
from schemas.topics import TOPICS, Topic
from streams.consumer.auditor import Auditor
from streams.consumer.colocate import check_partitions, topic_ids
from streams.consumer.faustapp import SafeApp
from streams.consumer.lags import Lags
from streams.kafka.connections import mend
from streams.kafka.naming import group_of
from streams.kafka.partitioner import check_partitioner
from streams.kafka.publish import Publisher
from streams.metrics import CONVERSATIONS_PARKED, TABLE_BYTES, TABLE_CONVERSATIONS
from streams.processor.deciding import Codec, Decider
from streams.processor.failpoint import Failpoint, loop_of
from streams.processor.lanes import Lanes
from streams.processor.loop import Loop
from streams.processor.parker import Parker
from streams.processor.resting import Rest, Resting
from streams.processor.stage import Stage
from streams.processor.timers import Timers
from streams.settings import Settings
from streams.state.lineage import grown
from streams.state.recovery import SafeTables
from streams.state.table import AckedTable
from streams.watch.health import Dependencies
from streams.watch.pulse import Pulse

log = structlog.get_logger(__name__)

COMMIT_S: Final = 0.5
HARMLESS: Final = 0.6
"""Part of the session timeout that a process may be frozen without having lost its partitions."""
FETCH_BYTES: Final = 256 << 10
"""Most bytes that wait in the client for each partition; a larger record comes alone."""
METADATA_MS: Final = 15_000
"""How soon a worker sees that somebody has changed the number of a topic's partitions."""
POLL_LIMIT_S: Final = 10 * 365 * 86_400.0
"""Never: aiokafka leaves the group when nothing was fetched for so long, and comes back with the
next fetch, which needs partitions. Whether we hang is the watchdog's to tell."""
REQUEST_S, REBALANCE_S = 90.0, 60.0
"""Longest time of a consumer's request, and of a rebalance beside the drain; Faust's defaults."""


@dataclass(frozen=True, slots=True)
class Running:
    """The moving parts of one stage."""

    stage: Stage
    table: AckedTable
    lanes: Lanes
    loop: Loop
    timers: Timers
    resting: Resting


class Engine:
    """The app and the parts of each stage.

    Attributes:
        app: The Faust app.
        publisher: What everything is published through; the caller starts and stops it.
        dependencies: Which services events wait for.
        running: The parts of each stage, by name.
    """

    def __init__(  # noqa: PLR0913 - what a worker is made of, keyword-only where it may be left out
        self,
        settings: Settings,
        stages: Sequence[Stage],
        codec: Codec,
        publisher: Publisher,
        *,
        clock: Clock,
        group: str | None = None,
        rest: Rest | None = None,
    ) -> None:
        _check_left_out(settings.without_topic, stages)
        stages = [stage.without(settings.without_topic) for stage in stages]
        _check_inputs(stages)
        self.rest = rest
        self.settings = settings
        self.publisher = publisher
        self.codec = codec
        self.clock = clock
        self.dependencies = Dependencies()
        self.app = _app(settings, group or group_of([stage.name for stage in stages]))
        self.app.engine = self
        self.lags = Lags(self.app.conf.id)
        self.pulse = Pulse(self._prove, settings.session_timeout_s * HARMLESS)
        self.loop_class = loop_of(Failpoint(settings.failpoint))
        self.running = {stage.name: self._run(stage) for stage in stages}

    async def check(self) -> None:
        """Check this process and the topics.

        Raises:
            Misconfigured: Topics are missing, or have another number of partitions than others,
                or than it was set.
            Unavailable: No broker answers.
        """
        check_partitioner()
        names = {name for family in self.app.families for name in family}
        bootstrap = self.settings.kafka_bootstrap
        self.app.partitions = await check_partitions(bootstrap, names)
        if self.app.partitions != (wanted := self.settings.topic_partitions):
            raise Misconfigured(grown("the topics of this worker", wanted, self.app.partitions))
        self.app.topic_ids = await topic_ids(bootstrap, names)

    def check_growth(self) -> None:
        """Check that nobody has changed the number of partitions since the start.

        Raises:
            Misconfigured: Somebody has.
        """
        for topic in {name for family in self.app.families for name in family}:
            count = self.app.safe_consumer.partition_count(topic)
            if count > self.app.partitions:  # fewer are metadata that is not whole
                raise Misconfigured(grown(topic, self.app.partitions, count))

    async def start(self) -> None:
        """Join the group; returns once the first tables are recovered."""
        mend()
        self.pulse.start()
        await self.app.start()
        for part in self.running.values():
            part.timers.start()
            part.resting.start()

    async def stop(self, *, leave: bool = False) -> None:
        """Finish what is in flight and commit; a static member keeps its place.

        Args:
            leave: Give the place up at once: this instance does not come back.
        """
        self.app.leaving = leave
        for part in self.running.values():
            await part.timers.stop()
            await part.resting.stop()
        await self.app.stop()
        await self.pulse.stop()

    def why_not_ready(self) -> str | None:
        """Say why no input is taken, or None."""
        return None if self.app.serving else "recovering or waiting for partitions"

    @property
    def progress(self) -> int:
        """Events finished and table records recovered since the start."""
        return self.app.progress

    @property
    def serving(self) -> bool:
        """Whether inputs are delivered."""
        return self.app.serving

    @property
    def auditor(self) -> Auditor:
        """What is committed, by a second account."""
        return self.app.safe_consumer.auditor

    def partitions(self) -> set[Any]:
        """Return the input partitions that are assigned."""
        return self.app.safe_consumer.inputs()

    async def ends(self) -> Mapping[Any, int]:
        """Return where their logs end.

        Raises:
            KafkaError: No broker says.
        """
        return dict(await self.app.safe_consumer.highwaters(*self.partitions()))

    def calling(self, now_s: float) -> bool:
        """Tell whether a running event is within its time limit."""
        return any(part.lanes.calling(now_s) for part in self.running.values())

    def inputs(self, table: AckedTable) -> list[str]:
        """Return the names of the input topics of a table."""
        return [topic.name for topic in self.running[table.name].stage.inputs]

    def keep(self, table: AckedTable, partitions: set[int]) -> None:
        """Forget the timers of partitions that are no longer ours."""
        self.running[table.name].timers.keep(partitions)

    def measure(self) -> None:
        """Tell how far behind each assigned input partition is, and how large the tables are."""
        consumer = self.app.safe_consumer
        self.lags.tell(consumer.ledgers, consumer.highwater)
        for name, part in self.running.items():
            TABLE_CONVERSATIONS.labels(name, "memory").set(part.table.size())
            TABLE_CONVERSATIONS.labels(name, "postgres").set(len(part.table.absent))
            TABLE_BYTES.labels(name).set(part.table.bytes)

    async def _prove(self) -> bool:
        return await self.app.safe_consumer.prove_membership()

    def _run(self, stage: Stage) -> Running:
        app = self.app
        changelog = app.topic(
            stage.changelog, key_type=bytes, value_type=bytes, compacting=True, allow_empty=True
        )
        table = AckedTable(app, name=stage.name, changelog_topic=changelog)
        app.tables.add(table)
        loop = self.loop_class(
            app, table, self.publisher, pulse=self.pulse, dependencies=self.dependencies
        )
        lanes = loop.lanes = Lanes(app, stage, loop)
        loop.decider = Decider(stage, lanes, self.codec, self.clock)
        loop.parker = Parker(loop.decider, app.conf.id, table.epoch)
        loop.resting = Resting(
            table, lanes, self.publisher, pulse=self.pulse, clock=self.clock, rest=self.rest
        )
        CONVERSATIONS_PARKED.labels(stage.name).set_function(lambda: len(table.parked))
        timers = Timers(
            stage,
            table,
            self.codec,
            self.publisher,
            clock=self.clock,
            serving=lambda: app.serving,
        )
        timers.behind = lambda p: app.safe_consumer.behind(TP(t.name, p) for t in stage.inputs)
        table.armed, table.early = timers.arm, timers.corrections.early
        if stage.hastens is not None:
            stage.hastens(timers.hasten)
        for topic in stage.inputs:
            app.intakes[topic.name] = lanes
            self._subscribe(topic)
        app.families.append(frozenset([*(topic.name for topic in stage.inputs), stage.changelog]))
        return Running(stage, table, lanes, loop, timers, loop.resting)

    def _subscribe(self, topic: Topic) -> None:
        """Make Faust subscribe; the records go to the lanes before any stream sees them."""
        channel = self.app.topic(topic.name, key_type=bytes, value_type=bytes, allow_empty=True)
        self.app.agent(channel, name=f"lanes.{topic.name}")(_never)


async def _never(stream: Any) -> AsyncIterator[None]:
    async for _ in stream:
        yield


def _check_left_out(topic: str, stages: Sequence[Stage]) -> None:
    """Refuse a topic that no stage of any layout reads: a whole worker would be taken for less."""
    if topic and topic not in {each.name for stage in stages for each in (*stage.inputs, *TOPICS)}:
        raise Misconfigured(f"WITHOUT_TOPIC is {topic}, which is no topic of ours: leave it empty")


def _check_inputs(stages: Sequence[Stage]) -> None:
    seen: dict[str, str] = {}
    for stage in stages:
        for topic in stage.inputs:
            if topic.name in seen:
                raise Misconfigured(
                    f"{topic.name} is read by both {seen[topic.name]} and {stage.name}"
                )
            seen[topic.name] = stage.name
        if stage.timer_topic is not None and stage.timer_topic not in stage.inputs:
            raise Misconfigured(f"{stage.name} does not read {stage.timer_topic.name}")


def _app(settings: Settings, group: str) -> SafeApp:
    brokers = [f"kafka://{server}" for server in settings.kafka_bootstrap.split(",")]
    return SafeApp(
        group,
        drain_s=settings.drain_s,
        broker=brokers,
        broker_client_id=f"{group}.{settings.instance}",
        # Faust's assignor remembers a member by its URL, which must be that of its predecessor.
        canonical_url=f"http://{settings.instance}",
        consumer_group_instance_id=settings.instance if settings.static_membership else None,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.session_timeout_s / 6,
        # Faust refuses a session that is longer than a request may take, and the group waits no
        # longer for a member that finishes its work.
        broker_request_timeout=max(REQUEST_S, settings.session_timeout_s),
        broker_rebalance_timeout=settings.drain_s + REBALANCE_S,
        broker_commit_interval=COMMIT_S,
        broker_max_poll_interval=POLL_LIMIT_S,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=FETCH_BYTES,
        consumer_metadata_max_age_ms=METADATA_MS,
        processing_guarantee="at_least_once",
        store="memory://",
        stream_wait_empty=False,
        table_standby_replicas=0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        TableManager=SafeTables,
    )
