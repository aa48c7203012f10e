"""Static members of a group (KIP-345): a restart inside the session timeout moves no partition.

aiokafka names its instance when it joins, but not when it commits or says that it is alive, so a
broker cannot tell it that another process has its place; it would take the place back, and the
two would go on like that. Here every request names the instance.

Source: Kafka, KIP-345 "Introduce static membership protocol"; Heartbeat version 3, OffsetCommit
version 7, LeaveGroup version 3 of the protocol guide.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

import structlog
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.errors import KafkaError, UnknownMemberIdError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.types import Array, Int16, Int32, Int64, Schema, String

from schemas.errors import PipelineError, Unavailable

FENCED: Final = 82
"""Error code: another member has joined as the same instance."""
UNKNOWN_MEMBER: Final = 25
"""Error code: no such member; it has left already."""
NO_EPOCH: Final = -1
ANY_MEMBER: Final = ""
"""Member id of a request that means the instance, whoever it is just now."""
LEAVE_S: Final = 5.0
"""Longest time that a worker tries to leave a group before it ends all the same.

It leaves one group after another, those of its sinks too, and has 20 s for all of its ending.
"""
AGAIN_S: Final = 0.2
log = structlog.get_logger(__name__)

_TEXT: Final = String("utf-8")
_RESULT: Final = ("throttle_time_ms", Int32), ("error_code", Int16)


class Replaced(PipelineError):
    """Another process has joined the group as the same instance."""

    def __init__(self, group: str, instance: str) -> None:
        super().__init__(
            f"another process joined {group} as instance {instance} and has taken this one's"
            " place: every live worker needs an INSTANCE of its own"
        )


class FencedInstance(KafkaError):  # type: ignore[misc] # aiokafka publishes no types
    """The broker knows another member as this instance; not to be tried again."""


class HeartbeatResponse(Response):  # type: ignore[misc] # ditto
    """Answer to a heartbeat."""

    API_KEY = 12
    API_VERSION = 3
    SCHEMA = Schema(*_RESULT)


class HeartbeatBytes(RequestStruct):  # type: ignore[misc] # ditto
    """A heartbeat that names the instance."""

    API_KEY = 12
    API_VERSION = 3
    RESPONSE_TYPE = HeartbeatResponse
    SCHEMA = Schema(
        ("group", _TEXT),
        ("generation_id", Int32),
        ("member_id", _TEXT),
        ("group_instance_id", _TEXT),
    )


class CommitResponse(Response):  # type: ignore[misc] # ditto
    """Answer to a commit."""

    API_KEY = 8
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            Array(
                ("topic", _TEXT), ("partitions", Array(("partition", Int32), ("error_code", Int16)))
            ),
        ),
    )


class CommitBytes(RequestStruct):  # type: ignore[misc] # ditto
    """A commit that names the instance."""

    API_KEY = 8
    API_VERSION = 7
    RESPONSE_TYPE = CommitResponse
    SCHEMA = Schema(
        ("group", _TEXT),
        ("generation_id", Int32),
        ("member_id", _TEXT),
        ("group_instance_id", _TEXT),
        (
            "topics",
            Array(
                ("topic", _TEXT),
                (
                    "partitions",
                    Array(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", _TEXT),
                    ),
                ),
            ),
        ),
    )


class LeaveResponse(Response):  # type: ignore[misc] # ditto
    """Answer to a request to remove members."""

    API_KEY = 13
    API_VERSION = 3
    SCHEMA = Schema(
        *_RESULT,
        (
            "members",
            Array(("member_id", _TEXT), ("group_instance_id", _TEXT), ("error_code", Int16)),
        ),
    )


class LeaveBytes(RequestStruct):  # type: ignore[misc] # ditto
    """Removes members of a group."""

    API_KEY = 13
    API_VERSION = 3
    RESPONSE_TYPE = LeaveResponse
    SCHEMA = Schema(
        ("group", _TEXT), ("members", Array(("member_id", _TEXT), ("group_instance_id", _TEXT)))
    )


class _Heartbeat(Request[HeartbeatBytes]):  # type: ignore[misc] # ditto
    API_KEY = 12

    def __init__(self, request: HeartbeatRequest, instance: str) -> None:
        self.fields = (request._group, request._generation_id, request._member_id, instance)  # noqa: SLF001 - no public names

    def build(self, request_struct_class: type[HeartbeatBytes]) -> HeartbeatBytes:
        return request_struct_class(*self.fields)


class _Commit(Request[CommitBytes]):  # type: ignore[misc] # ditto
    API_KEY = 8

    def __init__(self, request: OffsetCommitRequest, instance: str) -> None:
        topics = [
            (topic, [(number, offset, NO_EPOCH, metadata) for number, offset, metadata in rows])
            for topic, rows in request._topics  # noqa: SLF001 - no public names
        ]
        self.fields = (
            request._consumer_group,  # noqa: SLF001 - see above
            request._consumer_group_generation_id,  # noqa: SLF001 - see above
            request._consumer_id,  # noqa: SLF001 - see above
            instance,
            topics,
        )

    def build(self, request_struct_class: type[CommitBytes]) -> CommitBytes:
        return request_struct_class(*self.fields)


class _Leave(Request[LeaveBytes]):  # type: ignore[misc] # ditto
    API_KEY = 13

    def __init__(self, group: str, members: Iterable[tuple[str, str]]) -> None:
        self.fields = (group, list(members))

    def build(self, request_struct_class: type[LeaveBytes]) -> LeaveBytes:
        return request_struct_class(*self.fields)


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
            member, request = request._member_id, _Heartbeat(request, self.instance)  # noqa: SLF001 - no public names
        elif isinstance(request, OffsetCommitRequest):
            member, request = request._consumer_id, _Commit(request, self.instance)  # noqa: SLF001 - see above
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
    response = await client.send(node, _Leave(group, members), group=ConnectionGroup.COORDINATION)
    if response.error_code:
        raise for_code(response.error_code)(response)
    found: list[tuple[str, str, int]] = response.members
    return found


def _errors(response: Any) -> set[int]:
    if isinstance(response, CommitResponse):
        return {error for _, rows in response.topics for _, error in rows}
    return {getattr(response, "error_code", 0)}
