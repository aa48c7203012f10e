"""The parts that run on a JDK: one place that knows their files, for the stack and for training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from schemas.changing import replace
from streams.local.stack import kafka, registry
from streams.local.stack.artifacts import Bundle, read_lock
from streams.local.stack.fetch import Fetcher
from streams.local.stack.java import find_java
from streams.local.stack.part import Part
from streams.local.stack.ports import choose
from streams.local.stack.postgres import Server
from streams.local.stack.warm import Training
from streams.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Java, Kafka and the registry of this user.

    Attributes:
        java: The ``java`` to run.
        lock: Their files.
        fetcher: Gets them.
        env: Their environment.
    """

    java: Path
    lock: dict[str, Bundle]
    fetcher: Fetcher
    env: Mapping[str, str]

    @classmethod
    def of(cls, settings: Settings, cache: Path, env: Mapping[str, str]) -> Programs:
        """Find them; downloads nothing.

        Raises:
            Misconfigured: There is no JDK, or the lock is damaged.
        """
        return cls(
            java=find_java(settings.whaticket_java_home),
            lock=read_lock(),
            fetcher=Fetcher(settings.maven_mirror, cache / "maven"),
            env=env,
        )

    def broker_parts(self, cluster: kafka.Cluster) -> list[Part]:
        """Return the brokers of a cluster."""
        return kafka.parts(
            cluster,
            java=self.java,
            env=self.env,
            bundle=self.lock["kafka"],
            fetcher=self.fetcher,
        )

    def registry_part(self, home: Path, address: registry.Address, server: Server) -> Part:
        """Return the registry of a stack, its data in the given server."""
        program = self._registry(home)
        return registry.part(address, server, program, java=self.java, env=self.env)

    def trainings(self, home: Path, server: Server, running: set[str]) -> list[Training]:
        """Return what may be recorded beside the running parts, disturbing none of them."""
        scratch = home / "run" / "training"
        ports = choose(("broker", "controller", "registry", "management"), {})
        cluster = kafka.Cluster(home=scratch, ports=((ports["broker"], ports["controller"]),))
        # A second registry on the same tables is what its makers call a replica: it only reads.
        address = registry.Address(port=ports["registry"], management=ports["management"])
        broker = kafka.warmth(self.java, self.lock["kafka"], self.fetcher)
        found = {
            "kafka": Training(
                self.broker_parts(cluster)[0], broker, (ports["broker"], ports["controller"])
            ),
            "registry": Training(
                replace(self.registry_part(scratch, address, server), settle=None),
                self._registry(scratch).warmth(self.java),
                (ports["registry"], ports["management"]),
            ),
        }
        return [training for name, training in found.items() if name in running]

    def _registry(self, home: Path) -> registry.Program:
        bundle = self.lock["registry"]
        return registry.Program(
            folder=self.fetcher.folder.parent / f"registry-{bundle.digest}",
            arguments=home / "run" / "registry.args",
            bundle=bundle,
            fetcher=self.fetcher,
        )
