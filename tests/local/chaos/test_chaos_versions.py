from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from schemas.topics import MESSAGE_RECEIVED, STATEFUL_STAGES
from streams.kafka.naming import group_of
from streams.local.chaos import versions
from streams.local.chaos.catalogue import FAULTS
from streams.local.chaos.schedule import Planned
from streams.local.chaos.versions import addable, added_topic

COPIES = ("worker-ai", "worker-ai-2")


@dataclass
class Standing:
    """A stack that notes what is done to it; its topics grow when an older release comes up.

    Attributes:
        grows: Whether that writes what was begun before, and is not read by it.
        comes_up: Whether a process of the older release comes up.
        knows: Whether the older release reads the topic all the same.
        forgets: Whether the newer one does not.
    """

    grows: bool = True
    comes_up: bool = True
    knows: bool = False
    forgets: bool = False
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    reads: dict[str, set[str]] = field(default_factory=dict)
    written: int = 0

    async def stop(self, part: str, *, back: bool) -> None:
        assert back, "a release comes back at once"
        self.calls.append(("stop", part, ""))
        self.reads.pop(part, None)

    async def start(self, part: str) -> None:
        self.calls.append(("start", part, ""))
        self._joined(part, "" if not self.forgets else self.calls[1][2])

    def launch(self, part: str, settings: dict[str, str]) -> None:
        self.calls.append(("launch", part, settings["WITHOUT_TOPIC"]))
        if self.comes_up:
            self.written += self.grows
            self._joined(part, "" if self.knows else settings["WITHOUT_TOPIC"])

    def _joined(self, part: str, unknown: str) -> None:
        self.reads[part] = {MESSAGE_RECEIVED.name, *addable("ai")} - {unknown}

    async def ready(self, _part: str) -> bool:
        return self.comes_up

    def groups_of(self) -> Standing:
        return self

    def held(self, group: str) -> dict[str, list[TopicPartition]]:
        assert group == group_of(("ai",))
        return {
            part: [TopicPartition(topic, 0) for topic in topics]
            for part, topics in self.reads.items()
        }

    async def ends(self, topics: tuple[str, ...]) -> dict[str, int]:
        return dict.fromkeys(topics, self.written)

    async def note_commits(self) -> None:
        self.calls.append(("look", "", ""))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "SHARED_S", 0.0)
    monkeypatch.setattr(versions, "AGAIN_S", 0.0)


def ground(standing: Standing) -> Any:
    return SimpleNamespace(
        stack=standing,
        ready=standing.ready,
        witness=SimpleNamespace(reading=standing, groups_of=standing.groups_of),
        note_commits=standing.note_commits,
    )


def planned(seed: int = 3) -> Planned:
    return Planned(fault="F2t", whom=COPIES, share=0.3, seconds=0.0, seed=seed)


async def test_a_release_goes_back_and_forth_one_process_after_the_other() -> None:
    standing = Standing()

    seen = await added_topic(ground(standing), planned())

    topic = str(seen["topic"])
    assert topic in addable("ai")
    back = [(act, part, topic * (act == "launch")) for part in COPIES for act in ("stop", "launch")]
    forth = [(act, part, "") for part in COPIES for act in ("stop", "start")]
    assert standing.calls == [*back, *forth, ("look", "", "")]
    assert FAULTS["F2t"].proof(seen) is None


@pytest.mark.parametrize(
    "standing",
    [
        pytest.param(Standing(grows=False), id="nobody wrote what it does not read"),
        pytest.param(Standing(comes_up=False), id="the older one was never a member"),
        pytest.param(Standing(knows=True), id="the older one reads the topic all the same"),
        pytest.param(Standing(forgets=True), id="the newer one does not read it"),
    ],
)
async def test_a_release_that_added_nothing_proves_nothing(standing: Standing) -> None:
    seen = await added_topic(ground(standing), planned())

    assert FAULTS["F2t"].proof(seen)


@pytest.mark.parametrize("stage", ["", *STATEFUL_STAGES])
def test_every_stage_has_an_input_that_a_release_may_add(stage: str) -> None:
    found = addable(stage)

    assert found
    assert MESSAGE_RECEIVED.name not in found
    assert not any(name.endswith("timer.fired") for name in found)
