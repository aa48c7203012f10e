"""Apache Kafka: brokers that are their own controllers (KRaft, combined mode)."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streams.local.stack.artifacts import Bundle, Told
from streams.local.stack.fetch import Fetcher
from streams.local.stack.java import COMMON, Warmth
from streams.local.stack.part import Part
from streams.local.stack.ports import HOST
from streams.local.stack.probe import Probe
from streams.local.stack.process import run

HEAP: Final = ("-Xms128m", "-Xmx512m", "-XX:+UseG1GC")
LOG4J: Final = Path(__file__).with_name("kafka-log4j2.properties")
STOP_S: Final = 30.0
QUORUM: Final = 3
"""From so many brokers on, a record has three replicas, of which two must have it."""


ANY_TIME: Final = {"log.message.timestamp.after.max.ms": str(2**63 - 1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Where the brokers of one stack listen and keep their data.

    Attributes:
        home: Folder of the stack.
        ports: Broker's and controller's port of each broker.
        fronts: A further port of each broker, and where clients of it are told to find the broker.
        any_time: Whether records may be from the future, as with a clock that was put forward;
            usually brokers refuse what is over an hour ahead.
    """

    home: Path
    ports: tuple[tuple[int, int], ...]
    fronts: tuple[tuple[int, int], ...] = ()
    any_time: bool = False

    @property
    def bootstrap(self) -> str:
        """All brokers' addresses, for clients."""
        return ",".join(f"{HOST}:{port}" for port, _ in self.ports)

    @property
    def front(self) -> str:
        """Addresses for clients of ours: of the brokers, or of what stands before them."""
        if not self.fronts:
            return self.bootstrap
        return ",".join(f"{HOST}:{port}" for _, port in self.fronts)

    @property
    def replicated(self) -> bool:
        """Whether one broker may be lost: two others have every record, and agree on a leader."""
        return len(self.ports) >= QUORUM

    def name(self, index: int) -> str:
        """Return the part's name: ``kafka``, or ``kafka-1`` and so on when there are several."""
        return "kafka" if len(self.ports) == 1 else f"kafka-{index + 1}"

    def properties(self, index: int) -> dict[str, str]:
        """Return the settings of one broker.

        Source: https://kafka.apache.org/documentation/#brokerconfigs
        """
        voters = ",".join(f"{n}@{HOST}:{p}" for n, (_, p) in enumerate(self.ports, start=1))
        replicas = str(min(3, len(self.ports)))
        in_sync = "2" if self.replicated else "1"
        return {
            "process.roles": "broker,controller",
            "node.id": str(index + 1),
            "controller.quorum.voters": voters,
            "controller.listener.names": "CONTROLLER",
            **self._listeners(index),
            **(ANY_TIME if self.any_time else {}),
            "log.dirs": str(self.home / "data" / self.name(index)),
            "auto.create.topics.enable": "false",
            "default.replication.factor": replicas,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": replicas,
            "offsets.topic.num.partitions": "12",
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": in_sync,
            "transaction.state.log.num.partitions": "12",
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": in_sync,
            # Tests and replays write records of long ago: who reads them at once shall find them.
            "log.retention.check.interval.ms": "3600000",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "6000",
            # A broker that was killed is refused until its old session ends.
            "broker.session.timeout.ms": "3000" if len(self.ports) == 1 else "6000",
            "broker.heartbeat.interval.ms": "500",
        }

    def _listeners(self, index: int) -> dict[str, str]:
        """Return where a broker listens, and where it tells clients of each listener to go."""
        port, controller = self.ports[index]
        listeners = f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}"
        told = f"PLAINTEXT://{HOST}:{port}"
        if not self.fronts:
            return {"listeners": listeners, "advertised.listeners": told}
        inner, outer = self.fronts[index]
        names = ("PLAINTEXT", "CONTROLLER", "FRONT")
        return {
            "listeners": f"{listeners},FRONT://{HOST}:{inner}",
            "advertised.listeners": f"{told},FRONT://{HOST}:{outer}",
            "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in names),
            "inter.broker.listener.name": "PLAINTEXT",
        }


def warmth(java: Path, bundle: Bundle, fetcher: Fetcher) -> Warmth:
    """Return the start-up cache of the broker."""
    return Warmth.of(fetcher.folder.parent, "kafka", java, bundle.digest)


def parts(
    cluster: Cluster, *, java: Path, env: Mapping[str, str], bundle: Bundle, fetcher: Fetcher
) -> list[Part]:
    """Return one part per broker."""
    warm = warmth(java, bundle, fetcher).use
    jars = [str(fetcher.folder / artifact.path) for artifact in bundle.artifacts]
    common = (*COMMON, f"-Dlog4j2.configurationFile={LOG4J}", "-cp", ":".join(jars))
    made: list[Part] = []
    for index, (port, _) in enumerate(cluster.ports):
        config = cluster.home / "run" / f"{cluster.name(index)}.properties"
        # It ends within a second: to compile it well takes longer than to run it.
        brief = (*HEAP, "-XX:TieredStopAtLevel=1", *warm, *common)
        tool = (str(java), *brief, "kafka.tools.StorageTool", "format")
        storage = Storage(cluster, index, config, tool, env)

        async def prepare(told: Told, storage: Storage = storage) -> None:
            await fetcher.fetch(bundle, told)
            await storage.format(told)

        made.append(
            Part(
                name=cluster.name(index),
                argv=(str(java), *HEAP, *warm, *common, "kafka.Kafka", str(config)),
                env=env,
                address=f"{HOST}:{port}",
                probe=Probe("kafka", str(port), node=index + 1),
                prepare=prepare,
                stop_s=STOP_S,
                spare=cluster.replicated,
            )
        )
    return made


@dataclass(frozen=True, slots=True)
class Storage:
    """The data folder of one broker.

    Attributes:
        cluster: Its cluster.
        index: Which broker.
        config: File of its settings, written at every start.
        tool: Command line of Kafka's formatting tool.
        env: Environment of the tool.
    """

    cluster: Cluster
    index: int
    config: Path
    tool: tuple[str, ...]
    env: Mapping[str, str]

    async def format(self, told: Told) -> None:
        """Write the settings; format the folder unless it is.

        Raises:
            Crashed: The tool failed; with what it said.
        """
        properties = self.cluster.properties(self.index)
        self.config.parent.mkdir(parents=True, exist_ok=True)
        lines = (f"{name}={_escaped(value)}\n" for name, value in properties.items())
        self.config.write_text("".join(lines))
        folder = Path(properties["log.dirs"])
        if (folder / "meta.properties").is_file():
            return
        told("formatting")
        name = self.cluster.name(self.index)
        # One word: an id may begin with a dash, which would be read as another option.
        cluster_id = f"--cluster-id={self._cluster_id()}"
        argv = (*self.tool, cluster_id, "--config", str(self.config))
        step = Part(name=f"formatting {name}", argv=argv, env=self.env)
        await run(step, self.cluster.home / "logs" / f"{name}.log")

    def _cluster_id(self) -> str:
        """Return the id of this cluster: the same for its brokers and for every start."""
        name = uuid.uuid5(uuid.NAMESPACE_URL, self.cluster.home.as_uri())
        return base64.urlsafe_b64encode(name.bytes).decode().rstrip("=")


def _escaped(value: str) -> str:
    r"""Return a value as a file of properties holds it: Latin-1, all else as ``\uXXXX``.

    Source: https://docs.oracle.com/en/java/javase/25/docs/api/java.base/java/util/Properties.html
    """
    return json.dumps(value)[1:-1]
