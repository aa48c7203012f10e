from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.topics import MESSAGE_RECEIVED, STATEFUL_STAGES
from streams.local.chaos.catalogue import FAULTS
from streams.local.chaos.schedule import Planned
from streams.local.chaos.versions import addable, added_topic

COPIES = ("worker-ai", "worker-ai-2")


@dataclass
class Standing:
    """A stack that notes what is done to it; its topics grow with each look."""

    grows: bool = True
    comes_up: bool = True
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    looks: int = 0

    async def stop(self, part: str, *, back: bool) -> None:
        assert back, "a release comes back at once"
        self.calls.append(("stop", part, ""))

    async def start(self, part: str) -> None:
        self.calls.append(("start", part, ""))

    def launch(self, part: str, settings: dict[str, str]) -> None:
        self.calls.append(("launch", part, settings["WITHOUT_TOPIC"]))

    async def ready(self, _part: str) -> bool:
        return self.comes_up

    async def ends(self, topics: tuple[str, ...]) -> dict[str, int]:
        self.looks += self.grows
        return dict.fromkeys(topics, self.looks)

    async def note_commits(self) -> None:
        self.calls.append(("look", "", ""))


def ground(standing: Standing) -> Any:
    return SimpleNamespace(
        stack=standing,
        ready=standing.ready,
        witness=SimpleNamespace(reading=standing),
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
    "standing", [Standing(grows=False), Standing(comes_up=False)], ids=["silence", "not ready"]
)
async def test_a_release_that_nobody_missed_anything_in_proves_nothing(standing: Standing) -> None:
    seen = await added_topic(ground(standing), planned())

    assert FAULTS["F2t"].proof(seen)


@pytest.mark.parametrize("stage", ["", *STATEFUL_STAGES])
def test_every_stage_has_an_input_that_a_release_may_add(stage: str) -> None:
    found = addable(stage)

    assert found
    assert MESSAGE_RECEIVED.name not in found
    assert not any(name.endswith("timer.fired") for name in found)
