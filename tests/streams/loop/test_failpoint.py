from __future__ import annotations

import os
import signal

import pytest
from pydantic import ValidationError

from streams.processor.failpoint import POINTS, CrashingLoop, Failpoint, loop_of
from streams.processor.loop import Loop
from streams.settings import Settings


class Killed(Exception):
    """This process would have ended here."""


@pytest.fixture(autouse=True)
def _spared(monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(pid: int, number: int) -> None:
        assert (pid, number) == (os.getpid(), signal.SIGKILL)
        raise Killed

    monkeypatch.setattr(os, "kill", kill)


def test_without_a_failpoint_the_loop_is_the_plain_one() -> None:
    assert loop_of(Failpoint("")) is Loop


def test_only_the_asked_pass_of_the_asked_point_kills() -> None:
    failpoint = Failpoint("after_state:3")

    for _ in range(2):
        for point in POINTS:
            failpoint.reached(point)

    with pytest.raises(Killed):
        failpoint.reached("after_state")


@pytest.mark.parametrize("point", POINTS)
async def test_each_point_is_between_two_writes_of_the_loop(
    point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash at a point leaves what was written before it and nothing of what comes after."""
    done: list[str] = []

    async def store(*_: object) -> None:
        done.append("state")

    async def publish(*_: object) -> None:
        done.append("published")

    monkeypatch.setattr(Loop, "_store", store)
    monkeypatch.setattr(Loop, "_publish", publish)
    monkeypatch.setattr(Loop, "_settle", lambda *_: done.append("acknowledged"))
    kind = loop_of(Failpoint(f"{point}:1"))
    assert issubclass(kind, CrashingLoop)
    loop = object.__new__(kind)

    async def apply() -> None:
        await loop._store(None)
        await loop._publish(None, ())
        loop._settle(None)

    with pytest.raises(Killed):
        await apply()

    assert done == ["state", "published", "acknowledged"][: POINTS.index(point)]


@pytest.mark.parametrize("asked", ["after_state", "after_state:0", "somewhere:1", "after_ack:1x"])
def test_a_point_that_does_not_exist_is_refused(asked: str) -> None:
    with pytest.raises(ValidationError):
        Settings(failpoint=asked)


def test_the_loop_stores_publishes_and_settles_by_the_names_that_are_overridden() -> None:
    """``CrashingLoop`` would kill nobody if the loop called these steps by other names."""
    used = Loop._apply.__code__.co_names

    assert {"_store", "_publish", "_settle"} <= set(used)
