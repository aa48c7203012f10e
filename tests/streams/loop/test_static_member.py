"""A member that joins anew is not taken for another process that has its place."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.errors import UnknownMemberIdError
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import HeartbeatRequest

from streams.consumer.membership import (
    FENCED,
    UNKNOWN_MEMBER,
    FencedInstance,
    StaticMember,
    _errors,
)
from streams.consumer.requests import CommitResponse, HeartbeatResponse

GROUP, OURS, NOBODY = "whaticket.pipeline", "worker-1", ""


class Coordinator:
    """aiokafka's, whose broker knows another member as this instance; it may join meanwhile."""

    group_id = GROUP

    def __init__(self, member_id: str, *, joins: str | None = None, error: int = FENCED) -> None:
        self.member_id = member_id
        self.joins = joins
        self.error = error

    async def _send_req(self, request: Any) -> Any:
        self.member_id = self.member_id if self.joins is None else self.joins
        if request.API_KEY == CommitResponse.API_KEY:
            return CommitResponse(0, [("topic", [(0, self.error)])])
        return HeartbeatResponse(0, self.error)


def commit(member_id: str) -> OffsetCommitRequest:
    return OffsetCommitRequest(GROUP, 3, member_id, -1, [("topic", [(0, 5, "")])])


def heartbeat(member_id: str) -> HeartbeatRequest:
    return HeartbeatRequest(GROUP, 3, member_id)


@pytest.mark.parametrize("request_of", [commit, heartbeat])
async def test_who_is_fenced_under_its_own_id_was_replaced(request_of: Any) -> None:
    told: list[str] = []
    member = StaticMember(Coordinator(OURS), "a", lambda: told.append("replaced"))

    with pytest.raises(FencedInstance):
        await member.send(request_of(OURS))

    assert told == ["replaced"]


@pytest.mark.parametrize("request_of", [commit, heartbeat])
async def test_who_is_no_member_under_its_own_id_is_told_so_by_the_answer(request_of: Any) -> None:
    coordinator = Coordinator(OURS, error=UNKNOWN_MEMBER)

    answer = await StaticMember(coordinator, "a", lambda: None).send(request_of(OURS))

    assert UNKNOWN_MEMBER in _errors(answer)


@pytest.mark.parametrize(
    ("sent_as", "joins"),
    [(NOBODY, NOBODY), (NOBODY, "worker-2"), (OURS, "worker-2"), (OURS, NOBODY)],
    ids=["while it joins", "as it has joined", "before it joined", "before it began to join"],
)
@pytest.mark.parametrize("request_of", [commit, heartbeat])
@pytest.mark.parametrize("error", [FENCED, UNKNOWN_MEMBER])
async def test_who_is_refused_under_an_id_of_before_goes_on_with_its_new_one(
    request_of: Any, sent_as: str, joins: str, error: int
) -> None:
    told: list[str] = []
    coordinator = Coordinator(sent_as, joins=joins, error=error)
    member = StaticMember(coordinator, "a", lambda: told.append("replaced"))

    with pytest.raises(UnknownMemberIdError):
        await member.send(request_of(sent_as))

    assert not told
