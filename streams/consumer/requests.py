"""Requests of a group's member that name its instance; aiokafka's own do not.

Source: Kafka, protocol guide: Heartbeat version 3, OffsetCommit version 7, LeaveGroup version 3.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.types import Array, Int16, Int32, Int64, Schema, String

NO_EPOCH: Final = -1
_TEXT: Final = String("utf-8")
_RESULT: Final = ("throttle_time_ms", Int32), ("error_code", Int16)


class HeartbeatResponse(Response):  # type: ignore[misc] # aiokafka publishes no types
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


class Heartbeat(Request[HeartbeatBytes]):  # type: ignore[misc] # ditto
    """A heartbeat of aiokafka's, with the instance."""

    API_KEY = 12

    def __init__(self, request: HeartbeatRequest, instance: str) -> None:
        self.fields = (request._group, request._generation_id, request._member_id, instance)  # noqa: SLF001 - no public names

    def build(self, request_struct_class: type[HeartbeatBytes]) -> HeartbeatBytes:
        """Return what is sent."""
        return request_struct_class(*self.fields)


class Commit(Request[CommitBytes]):  # type: ignore[misc] # ditto
    """A commit of aiokafka's, with the instance."""

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
        """Return what is sent."""
        return request_struct_class(*self.fields)


class Leave(Request[LeaveBytes]):  # type: ignore[misc] # ditto
    """A request to remove members, by member id and instance."""

    API_KEY = 13

    def __init__(self, group: str, members: Iterable[tuple[str, str]]) -> None:
        self.fields = (group, list(members))

    def build(self, request_struct_class: type[LeaveBytes]) -> LeaveBytes:
        """Return what is sent."""
        return request_struct_class(*self.fields)
