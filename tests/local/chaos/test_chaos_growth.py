from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.errors import Misconfigured
from streams.lineage import grown
from streams.local.chaos import growth
from streams.local.chaos.catalogue import FAULTS
from streams.local.chaos.schedule import Planned
from streams.provision import Difference, Kind, refuse_partitions

PLANNED = Planned(fault="F12", whom=("worker",), share=0.5, seconds=0.0, seed=1)


@dataclass
class Standing:
    """A stack whose launched worker says something and ends, or does not."""

    folder: Path
    says: str = grown("the topics of this worker", 48, 12)
    ends: int | None = 1
    calls: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    over: int | None = None

    def log(self, name: str) -> Path:
        path = self.folder / f"{name}.log"
        path.touch()
        return path

    def ended(self, _: str) -> int | None:
        return self.over

    def launch(self, name: str, settings: dict[str, str]) -> None:
        self.calls.append(f"launch {settings['TOPIC_PARTITIONS']}")
        with self.log(name).open("a") as log:
            log.write(self.says)
        self.over = self.ends

    async def stop(self, name: str, *, back: bool) -> None:
        self.calls.append(f"stop {name}" if back else f"dismiss {name}")

    async def start(self, name: str) -> None:
        self.calls.append(f"start {name}")

    async def kill(self, name: str) -> None:
        self.calls.append(f"kill {name}")


def ground(stack: Standing, *counts: int) -> Any:
    left = list(counts)

    async def ends(_: object) -> dict[int, int]:
        return dict.fromkeys(range(left.pop(0)), 0)

    return SimpleNamespace(
        stack=stack,
        current=SimpleNamespace(topic_partitions=12),
        witness=SimpleNamespace(reading=SimpleNamespace(ends=ends)),
    )


@pytest.fixture(autouse=True)
def tool(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A tool that refuses; it notes how many partitions were asked for."""
    asked: list[str] = []

    async def by_tool(env: dict[str, str]) -> bool:
        asked.append(env["TOPIC_PARTITIONS"])
        return True

    monkeypatch.setattr(growth, "_by_tool", by_tool)
    monkeypatch.setattr(growth, "PATIENCE_S", 0.2)
    return asked


async def test_four_times_the_partitions_are_asked_for_and_then_everything_goes_on(
    tmp_path: Path, tool: list[str]
) -> None:
    stack = Standing(tmp_path)

    found = await growth.refused(ground(stack, 12, 12), PLANNED)

    assert tool == ["48"]
    assert stack.calls == ["stop worker", "launch 48", "start worker"]
    assert FAULTS["F12"].proof(found) is None


@pytest.mark.parametrize(
    ("changes", "counts", "why"),
    [
        ({"says": "something else"}, (12, 12), "by_worker 0 of 1"),
        ({"ends": 0}, (12, 12), "by_worker 0 of 1"),
        ({"ends": None}, (12, 12), "by_worker 0 of 1"),
        ({}, (12, 48), "unchanged 0 of 1"),
    ],
    ids=["other words", "a good end", "it serves", "the topics grew"],
)
async def test_what_is_not_refused_proves_nothing(
    tmp_path: Path, changes: dict[str, Any], counts: tuple[int, int], why: str
) -> None:
    stack = Standing(tmp_path, **changes)

    found = await growth.refused(ground(stack, *counts), PLANNED)

    assert FAULTS["F12"].proof(found) == why
    assert ("kill worker" in stack.calls) == (stack.ends is None)


def test_the_tool_says_of_it_what_the_fault_looks_for() -> None:
    wanted = Difference(Kind.DIFFERENT, "partitions", "inbox.message.received", "12", "48")

    with pytest.raises(Misconfigured, match=growth.REFUSAL):
        refuse_partitions([wanted])
