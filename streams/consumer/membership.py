"""Static members of a group (KIP-345): a restart inside the session timeout moves no partition.

aiokafka names its instance when it joins, but not when it commits or says that it is alive, so a
broker cannot tell it that another process has its place; it would take the place back, and the
two would go on like that. Here every request names the instance.

Source: Kafka, KIP-345 "Introduce static membership protocol".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

import structlog
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.errors import KafkaError, UnknownMemberIdError, for_code
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import HeartbeatRequest

from schemas.errors import PipelineError, Unavailable
from streams.consumer.requests import Commit, CommitResponse, Heartbeat, Leave

FENCED: Final = 82
"""Error code: another member has joined as the same instance."""
UNKNOWN_MEMBER: Final = 25
"""Error code: no such member; it has left already."""
ANY_MEMBER: Final = ""
"""Member id of a request that means the instance, whoever it is just now."""
LEAVE_S: Final = 5.0
"""Longest time that a worker tries to leave a group before it ends all the same.

It leaves one group after another, those of its sinks too, and has 20 s for all of its ending.
"""
AGAIN_S: Final = 0.2
log = structlog.get_logger(__name__)


class Replaced(PipelineError):
    """Another process has joined the group as the same instance."""

    def __init__(self, group: str, instance: str) -> None:
        super().__init__(
            f"another process joined {group} as instance {instance} and has taken this one's"
            " place: every live worker needs an INSTANCE of its own"
        )


class FencedInstance(KafkaError):  # type: ignore[misc] # aiokafka publishes no types
    """The broker knows another member as this instance; not to be tried again."""


class StaticMember:
    """A coordinator's requests, which name the instance; tells when another took its place."""

    def __init__(self, coordinator: Any, instance: str, replaced: Callable[[], None]) -> None:
        self._send = coordinator._send_req  # noqa: SLF001 - aiokafka has no setting
        self.coordinator = coordinator
        self.instance = instance
        self.replaced = replaced

    async def send(self, request: Any) -> Any:
        """Send a request to the group's coordinator.

        Raises:
            FencedInstance: Another member has the place of this one.
            UnknownMemberIdError: It was sent under an id that this member has no more: it joins
                anew, or has, and the other member is this one. aiokafka would join once more.
        """
        member = self.coordinator.member_id
        if isinstance(request, HeartbeatRequest):
            member, request = request._member_id, Heartbeat(request, self.instance)  # noqa: SLF001 - no public names
        elif isinstance(request, OffsetCommitRequest):
            member, request = request._consumer_id, Commit(request, self.instance)  # noqa: SLF001 - see above
        response = await self._send(request)
        errors = _errors(response)
        former = member == ANY_MEMBER or member != self.coordinator.member_id
        if former and errors & {FENCED, UNKNOWN_MEMBER}:
            raise UnknownMemberIdError(self.coordinator.group_id)
        if FENCED in errors:
            self.replaced()
            raise FencedInstance
        return response


def be_static(consumer: Any, instance: str, replaced: Callable[[], None]) -> None:
    """Let a started consumer, which has not joined yet, name its instance in every request."""
    coordinator = consumer._coordinator  # noqa: SLF001 - aiokafka has no setting
    coordinator._send_req = StaticMember(coordinator, instance, replaced).send  # noqa: SLF001 - see above


def leave_for_good(consumer: Any, instance: str) -> None:
    """Let a consumer leave its group when it stops, though it is a static member.

    aiokafka asks the coordinator that it knows, once. A worker that is stopped while it starts
    may know none just then, and would keep its place until its session ends. So would one whose
    coordinator has just moved.
    """
    coordinator = consumer._coordinator  # noqa: SLF001 - aiokafka has no setting

    async def leave() -> None:
        group, member = coordinator.group_id, (coordinator.member_id, instance)
        if (error := await _kept(consumer._client, group, member)) is not None:  # noqa: SLF001 - see above
            log.warning("group.not_left", group=group, error=error)
        coordinator.reset_generation()

    coordinator._maybe_leave_group = leave  # noqa: SLF001 - see above


async def _kept(client: Any, group: str, member: tuple[str, str]) -> int | str | None:
    """Give a place up; return why it may be kept, or None.

    A broker that does not answer in time may carry it out later, or never have heard of it.
    """
    last: str | None = None
    try:
        async with asyncio.timeout(LEAVE_S):
            while True:
                try:
                    errors = {error for _, _, error in await _removed(client, group, [member])}
                    if not (kept := errors - {0, UNKNOWN_MEMBER}):
                        log.info("group.left", group=group, errors=sorted(errors))
                    return min(kept, default=None)
                except KafkaError as exc:
                    last = type(exc).__name__
                    if not exc.retriable:
                        return last
                await asyncio.sleep(AGAIN_S)
    except TimeoutError as exc:
        return last or type(exc).__name__


async def dismiss(bootstrap: str, group: str, instances: Iterable[str]) -> list[str]:
    """Remove static members from a group; return those that were in it.

    Raises:
        Unavailable: No broker answers.
    """
    client = AIOKafkaClient(bootstrap_servers=bootstrap, client_id="whaticket.groups")
    try:
        await client.bootstrap()
        found = await _removed(client, group, [(ANY_MEMBER, instance) for instance in instances])
    except KafkaError as exc:
        raise Unavailable("kafka") from exc
    finally:
        await client.close()
    return [instance for _, instance, error in found if not error]


async def _removed(
    client: Any, group: str, members: Iterable[tuple[str, str]]
) -> list[tuple[str, str, int]]:
    """Remove members, by member id and instance; return what the coordinator said of each.

    Raises:
        KafkaError: There is no coordinator, or it does not answer.
    """
    node = await client.coordinator_lookup(CoordinationType.GROUP, group)
    await client.ready(node, group=ConnectionGroup.COORDINATION)
    response = await client.send(node, Leave(group, members), group=ConnectionGroup.COORDINATION)
    if response.error_code:
        raise for_code(response.error_code)(response)
    found: list[tuple[str, str, int]] = response.members
    return found


def _errors(response: Any) -> set[int]:
    if isinstance(response, CommitResponse):
        return {error for _, rows in response.topics for _, error in rows}
    return {getattr(response, "error_code", 0)}
