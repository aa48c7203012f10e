"""Partitions of topics that a consumer does not read, and is given all the same.

Source: aiokafka 0.14, ``consumer/subscription_state.py`` (``_assign`` asserts that there are none).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import structlog

log = structlog.get_logger(__name__)


def forgive(consumer: Any) -> None:
    """Let a consumer be given partitions of topics that it does not read: it leaves them out.

    A static member that comes back inside its session is given what it had, whatever it subscribes
    to now, and a leader of another release shares out topics that we do not know. aiokafka's
    coordination would end there and the worker hang. It joins once more, so that the leader sees
    what it subscribes to.
    """
    coordinator, subscriptions = consumer._coordinator, consumer._subscription  # noqa: SLF001 - aiokafka has no setting
    assign, asked = subscriptions.assign_from_subscribed, False

    def known(partitions: Iterable[Any]) -> None:
        nonlocal asked
        every = list(partitions)
        ours = [place for place in every if place.topic in subscriptions.subscription.topics]
        if foreign := sorted({place.topic for place in every} - {place.topic for place in ours}):
            log.warning("group.foreign_topics", topics=foreign)
            if not asked:
                asked = True
                coordinator.request_rejoin()
        assign(ours)

    subscriptions.assign_from_subscribed = known
