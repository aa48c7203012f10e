"""Clients made by librdkafka; what it has to say goes to our log, not past it to stderr."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

LOG: Final = logging.getLogger("librdkafka")
"""Is handed lines only while a client is polled; of an admin client they are dropped."""


def admin(bootstrap: str, client_id: str = "whaticket.admin") -> AdminClient:
    """Return a client that asks the cluster and changes it."""
    return AdminClient({"bootstrap.servers": bootstrap, "client.id": client_id}, logger=LOG)


def consumer(bootstrap: str, group: str, settings: Mapping[str, Any] | None = None) -> Consumer:
    """Return a consumer, which takes no bytes that are not those that were written.

    Args:
        bootstrap: Kafka's ``host:port[,host:port]``.
        group: Its group; required, also where it neither joins nor commits.
        settings: Further settings of librdkafka.
    """
    given = {"bootstrap.servers": bootstrap, "group.id": group, "check.crcs": True}
    return Consumer({**given, **(settings or {})}, logger=LOG)


def producer(bootstrap: str, settings: Mapping[str, Any] | None = None) -> Producer:
    """Return a producer; arguments as of ``consumer``."""
    return Producer({"bootstrap.servers": bootstrap, **(settings or {})}, logger=LOG)
