"""A member that leaves its group for good, whatever the brokers say to that."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import GroupAuthorizationFailedError, GroupCoordinatorNotAvailableError
from structlog.testing import capture_logs

from streams.consumer import membership
from streams.consumer.membership import FENCED, UNKNOWN_MEMBER, leave_for_good

MOVED, LOADING = 16, 14
"""Error codes: the coordinator is another broker; it is one, but not ready yet."""


class Brokers:
    """A client; ``answers`` are what becomes of each request to leave, ``None`` is no answer.

    A number below 0 is the error of the place, negated; any other is that of the request.
    """

    def __init__(self, *answers: int | Exception | None) -> None:
        self.answers = list(answers)
        self.fields: list[Any] = []

    async def coordinator_lookup(self, _: object, __: str) -> int:
        if isinstance(self.answers[0], Exception):
            raise self.answers.pop(0)  # type: ignore[misc] # the line above says what it is
        return 1

    async def ready(self, _: int, *, group: object) -> bool:
        del group
        return True

    async def send(self, _: int, request: Any, *, group: object) -> Any:
        del group
        self.fields.append(request.fields)
        answer = self.answers.pop(0)
        if answer is None:
            await asyncio.Event().wait()
        assert isinstance(answer, int)
        members = [("member", "one", max(0, -answer))]
        return SimpleNamespace(error_code=max(0, answer), members=members)


async def leave(brokers: Brokers) -> list[Any]:
    """Return what the operator is warned of."""
    coordinator = SimpleNamespace(group_id="group", member_id="member", reset_generation=int)
    leave_for_good(SimpleNamespace(_client=brokers, _coordinator=coordinator), "one")
    with capture_logs() as logs:
        await coordinator._maybe_leave_group()
    warned = [line for line in logs if line["log_level"] == "warning"]
    assert len(logs) == 1
    assert warned or logs[0]["event"] == "group.left"
    return [(line["event"], line["group"], line["error"]) for line in warned]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "LEAVE_S", 0.2)
    monkeypatch.setattr(membership, "AGAIN_S", 0.001)


async def test_what_passes_by_itself_is_asked_again() -> None:
    brokers = Brokers(GroupCoordinatorNotAvailableError(), MOVED, LOADING, 0)

    assert await leave(brokers) == []
    assert brokers.answers == []
    assert brokers.fields == [("group", [("member", "one")])] * 3


async def test_a_place_that_was_left_by_a_request_without_an_answer_is_left() -> None:
    assert await leave(Brokers(MOVED, -UNKNOWN_MEMBER)) == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (None, "TimeoutError"),
        (-FENCED, FENCED),
        (GroupAuthorizationFailedError(), "GroupAuthorizationFailedError"),
    ],
)
async def test_an_operator_is_told_which_place_may_be_kept_and_why(
    answer: int | Exception | None, error: int | str
) -> None:
    assert await leave(Brokers(answer)) == [("group.not_left", "group", error)]


async def test_what_does_not_pass_in_time_is_named() -> None:
    brokers = Brokers(*[MOVED] * 1000)

    assert await leave(brokers) == [("group.not_left", "group", "NotCoordinatorForGroupError")]
