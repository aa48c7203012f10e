from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streams.local.chaos import acts
from streams.local.chaos.acts import strike
from streams.local.chaos.ground import Ground
from streams.local.chaos.schedule import Planned


class Outside:
    """Ten messages, one of which goes out each time somebody looks; a clock that counts."""

    def __init__(self) -> None:
        self.looks = 0
        self.now = 0

    @property
    def begun(self) -> int:
        self.looks += 1
        return min(self.looks, 10)

    @property
    def clock(self) -> Outside:
        return self

    def now_ms(self) -> int:
        self.now += 1
        return self.now


def ground(outside: Outside) -> Ground:
    either: Any = outside
    nothing: Any = None
    return Ground(
        stack=nothing,
        current=nothing,
        customers=either,
        witness=either,
        proxies=(),
        total=10,
        say=lambda _: None,
    )


def planned(share: float, *whom: str) -> Planned:
    return Planned(fault="F1", whom=whom, share=share, seconds=0.0, seed=1)


@pytest.fixture
def striking(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes who is struck, and when it is over."""
    noted: list[str] = []

    async def act(_: Ground, fault: Planned) -> dict[str, float | str]:
        noted.append(f"+{'&'.join(fault.whom)}")
        await asyncio.sleep(0.01)
        noted.append(f"-{'&'.join(fault.whom)}")
        return {"before": 1, "after": 2}

    monkeypatch.setitem(acts.ACTS, "F1", act)
    return noted


async def test_a_fault_waits_for_its_share_of_the_messages(striking: list[str]) -> None:
    struck = await strike(ground(Outside()), planned(0.5, "worker"))

    assert 5 <= struck.sent < 10
    assert struck.sent + struck.unsent == 10
    assert struck.evidence == {"before": 1, "after": 2}
    assert struck.began_ms < struck.ended_ms
    assert striking == ["+worker", "-worker"]


async def test_a_part_is_struck_by_one_fault_at_a_time_and_others_meanwhile(
    striking: list[str],
) -> None:
    here = ground(Outside())

    await asyncio.gather(
        strike(here, planned(0.1, "worker", "api")),
        strike(here, planned(0.1, "worker")),
        strike(here, planned(0.1, "redis")),
    )

    assert striking.index("-worker&api") < striking.index("+worker")
    assert striking.index("+redis") < striking.index("-worker&api")
