from __future__ import annotations

from typing import Any

import pytest

from streams.local.chaos.kills import Kill, kill_each, unreal, victims


class Sending:
    """A sender of ten messages; one goes out each time somebody looks."""

    def __init__(self) -> None:
        self.count = 0

    @property
    def sent(self) -> list[int]:
        self.count = min(self.count + 1, 10)
        return [0] * self.count


class Standing:
    """A stack whose parts get a new process id at each start."""

    def __init__(self, *, revives: bool = True) -> None:
        self.revives = revives
        self.calls: list[tuple[str, str]] = []
        self.pids: dict[str, int] = {}

    def pid(self, name: str) -> int:
        return self.pids.setdefault(name, 100)

    async def kill(self, name: str) -> None:
        self.calls.append(("kill", name))

    async def start(self, name: str) -> None:
        self.calls.append(("start", name))
        self.pids[name] += self.revives


async def kills(stack: Standing) -> list[Kill]:
    sender: Any = Sending()
    real: Any = stack
    return await kill_each(real, ["webhook", "worker"], sender, 10, lambda _: None)


async def test_each_part_is_killed_and_started_once_at_even_shares() -> None:
    stack = Standing()

    done = await kills(stack)

    assert [name for verb, name in stack.calls if verb == "kill"] == ["webhook", "worker"]
    assert sorted(name for verb, name in stack.calls if verb == "start") == ["webhook", "worker"]
    assert [kill.part for kill in done] == ["webhook", "worker"]
    assert [3 <= kill.sent < 10 for kill in done] == [True, True]
    assert unreal(done, ["webhook", "worker"]) == []


async def test_a_process_that_lives_on_was_not_killed() -> None:
    done = await kills(Standing(revives=False))

    assert unreal(done, ["webhook", "worker"]) == ["webhook", "worker"]


@pytest.mark.parametrize(
    ("sent", "unsent"),
    [
        (0, 10),  # before the load
        (10, 0),  # after it
    ],
)
def test_a_kill_outside_the_load_does_not_count(sent: int, unsent: int) -> None:
    kill = Kill(part="worker", sent=sent, unsent=unsent, before=1, after=2)

    assert unreal([kill], ["worker", "webhook"]) == ["worker", "webhook"]


def test_only_our_own_processes_are_killed() -> None:
    names = ["kafka", "kafka-1", "postgres", "worker-ai", "webhook", "simulator", "api"]

    assert victims(names) == ["api", "webhook", "worker-ai"]
