"""The Kafka cluster as an administrator sees it: topics, their partitions and settings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, but untyped re-exports
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from schemas.errors import Misconfigured, Unavailable
from streams.kafka import librdkafka

TIMEOUT_S: Final = 15.0
"""Longest that one question to the cluster may take."""

PATIENT: Final = (
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - librdkafka spells its own errors so; they are public
    KafkaError._TIMED_OUT,  # noqa: SLF001 - ditto
    KafkaError._TRANSPORT,  # noqa: SLF001 - ditto
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.NOT_CONTROLLER,
    KafkaError.LEADER_NOT_AVAILABLE,
)
"""Errors that pass when the cluster is back."""


@dataclass(frozen=True, slots=True)
class Existing:
    """A topic that is there.

    Attributes:
        partitions: How many it has.
        replicas: Copies of its first partition.
        config: Every setting of it, the cluster's defaults included.
    """

    partitions: int
    replicas: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A topic as it should be.

    Attributes:
        name: Its name.
        partitions: How many it must have; never changed once in use.
        replicas: Copies of each partition.
        config: The settings that we care about.
    """

    name: str
    partitions: int
    replicas: int
    config: Mapping[str, str]


class Cluster:
    """A cluster by its bootstrap addresses; connects when it is first asked.

    Args:
        bootstrap: Kafka's ``host:port[,host:port]``.
    """

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._admin: AdminClient | None = None

    async def topics(self) -> dict[str, Existing]:
        """Return every topic by name, Kafka's internal ones aside.

        Raises:
            Unavailable: The cluster does not answer.
        """
        return await asyncio.to_thread(_guarded, self._topics)

    async def create(self, topics: Iterable[Wanted]) -> None:
        """Create topics; one that is there already stays as it is.

        Raises:
            Misconfigured: The cluster refuses one, such as for want of brokers.
            Unavailable: The cluster does not answer.
        """
        new = [
            NewTopic(
                topic.name,
                num_partitions=topic.partitions,
                replication_factor=topic.replicas,
                config=dict(topic.config),
            )
            for topic in topics
        ]
        if new:
            await asyncio.to_thread(_guarded, lambda: self._create(new))

    async def configure(self, topic: str, config: Mapping[str, str]) -> None:
        """Set some settings of a topic; the others stay as they are.

        Raises:
            Misconfigured: The cluster refuses a setting.
            Unavailable: The cluster does not answer.
        """
        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            for name, value in config.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        await asyncio.to_thread(
            _guarded,
            lambda: _results(
                self._client().incremental_alter_configs([resource], request_timeout=TIMEOUT_S)
            ),
        )

    def _client(self) -> AdminClient:
        if self._admin is None:
            self._admin = librdkafka.admin(self._bootstrap, "whaticket.provision")
        return self._admin

    def _topics(self) -> dict[str, Existing]:
        metadata = self._client().list_topics(timeout=TIMEOUT_S).topics
        names = [name for name in metadata if not name.startswith("__")]
        configs = self._configs(names)
        return {
            name: Existing(
                len(metadata[name].partitions),
                len(metadata[name].partitions[0].replicas),
                configs[name],
            )
            for name in names
        }

    def _configs(self, names: list[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        described = _results(self._client().describe_configs(resources, request_timeout=TIMEOUT_S))
        return {
            resource.name: {name: entry.value for name, entry in entries.items()}
            for resource, entries in described.items()
        }

    def _create(self, new: list[NewTopic]) -> None:
        for created in self._client().create_topics(new, request_timeout=TIMEOUT_S).values():
            try:
                created.result(TIMEOUT_S)
            except KafkaException as exc:
                if exc.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise


def _results(futures: Mapping[Any, Future[Any]]) -> dict[Any, Any]:
    return {asked: future.result(TIMEOUT_S) for asked, future in futures.items()}


T = TypeVar("T")


def _guarded(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except KafkaException as exc:
        if exc.args[0].code() in PATIENT:
            raise Unavailable("kafka") from exc
        raise Misconfigured(f"Kafka refuses: {exc.args[0].str()}") from exc
    except TimeoutError as exc:
        raise Unavailable("kafka") from exc
