from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.errors import Misconfigured
from streams.kafka import librdkafka
from streams.kafka.provision import Difference, Kind, refuse_partitions
from streams.local.chaos import growth
from streams.local.chaos.archive import read, write
from streams.local.chaos.catalogue import FAULTS
from streams.local.chaos.facts import Fact, Struck
from streams.local.chaos.schedule import Planned
from streams.state.lineage import grown

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
    names: tuple[str, ...] = ("kafka", "api", "worker", "worker-memory")

    def log(self, name: str) -> Path:
        path = self.folder / f"{name}.log"
        path.touch()
        return path

    def ended(self, name: str) -> int | None:
        return None if name == "kafka" else self.over

    def launch(self, name: str, settings: dict[str, str]) -> None:
        self.calls.append(f"launch {settings.get('TOPIC_PARTITIONS', name)}")
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
        current=SimpleNamespace(topic_partitions=12, kafka_bootstrap="nowhere:1"),
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
    assert FAULTS["F12"].proof(found) == "ended 0 of 1, not_again 0 of 1"
    assert FAULTS["F12"].proof(found | {"ended": 1, "not_again": 1}) is None


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

    assert FAULTS["F12"].proof(found | {"ended": 1, "not_again": 1}) == why
    assert ("kill worker" in stack.calls) == (stack.ends is None)


def test_the_tool_says_of_it_what_the_fault_looks_for() -> None:
    wanted = Difference(Kind.DIFFERENT, "partitions", "inbox.message.received", "12", "48")

    with pytest.raises(Misconfigured, match=growth.REFUSAL):
        refuse_partitions([wanted])


def seen(*faults: str) -> list[Fact]:
    return [
        Struck(
            fault=name, whom=(), sent=1, unsent=1, began_ms=1, ended_ms=2, evidence={"by_tool": 1}
        )
        for name in faults
    ]


def growing(stack: Standing, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the worker end by itself when the topics grow, with its words."""
    made: list[str] = []

    class Admin:
        def __init__(self, _: object) -> None:
            pass

        def create_partitions(self, wanted: list[Any]) -> dict[str, Future[None]]:
            made.extend(f"{each.topic} {each.new_total_count}" for each in wanted)
            stack.launch("worker", {})
            done: Future[None] = Future()
            done.set_result(None)
            return {each.topic: done for each in wanted}

    monkeypatch.setattr(librdkafka, "admin", Admin)
    return made


async def test_at_the_end_topics_grow_and_no_worker_serves_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Standing(tmp_path)
    made = growing(stack, monkeypatch)

    first, other = await growth.for_good(ground(stack), seen("F12", "F1"))

    assert isinstance(first, Struck)
    assert first.evidence == {"by_tool": 1, "ended": True, "not_again": True}
    assert [other] == seen("F1")
    assert "inbox.message.received 48" in made
    assert "whaticket.dispatch.changelog 48" in made
    assert stack.calls == ["launch worker", "launch worker"]  # by itself, and started again


@pytest.mark.parametrize(
    ("changes", "ends"),
    [({"ends": None}, {"ended": False, "not_again": False}), ({"ends": 0}, {"ended": False})],
    ids=["it goes on", "a good end"],
)
async def test_a_worker_that_does_not_refuse_grown_topics_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], ends: dict[str, bool]
) -> None:
    stack = Standing(tmp_path, **changes)
    growing(stack, monkeypatch)

    (found,) = await growth.for_good(ground(stack), seen("F12"))

    assert isinstance(found, Struck)
    assert found.evidence.items() >= ends.items()


def test_what_was_seen_of_a_refusal_is_read_again_from_the_history(tmp_path: Path) -> None:
    seen = Struck(
        fault="F12",
        whom=("worker",),
        sent=2,
        unsent=1,
        began_ms=1,
        ended_ms=2,
        evidence={"by_tool": True, "not_again": False, "waited_s": 1.5, "why": "grown"},
    )
    write(tmp_path / "history.jsonl", [seen])

    assert list(read(tmp_path / "history.jsonl")) == [seen]
