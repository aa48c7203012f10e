from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.events import OutcomeKind
from sinks.ports import Recorded
from streams.clock import WallClock
from streams.local.demo.stage import Played, play
from streams.local.load.checker import check
from streams.local.load.figures import overheads
from streams.local.load.plan import plan
from streams.local.load.run import CONNECTIONS, Sender, run
from streams.local.outside import outside, standing
from streams.reading import Reading
from streams.registry import open_codec
from streams.settings import Settings
from streams.tracing import NotOnTheLog, traced

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.fixture
async def current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Settings]:
    """A whole stack of its own: real parts, simulator, offline model, webhook, API, worker."""
    monkeypatch.setenv("WHATICKET_HOME", str(tmp_path / "home"))
    for name in ("WEBHOOK_PORT", "API_PORT"):
        monkeypatch.delenv(name, raising=False)
    async with standing(tmp_path / "home", lambda _name, _line: None) as settings:
        yield settings


async def test_demo_load_and_trace_on_a_whole_stack(current: Settings) -> None:
    """One stack for all of it: a start takes longer than what is tested."""
    shown: list[Recorded] = []
    async with outside(current, CONNECTIONS) as world:
        first = await play(current, world, shown.append)
        again = await play(current, world, shown.append)
        reading = Reading(current.kafka_bootstrap, await open_codec(current))
        made = plan(10, 60, run="test", seed=3)
        loaded = await run(made, reading, Sender(world, WallClock()), patience_s=120)

    assert first.violations == []
    assert again.violations == [], "a second run on kept data"
    assert first.known.sent != again.known.sent
    assert len(first.known.accepted) == len(first.known.requested) > 0
    assert shown
    assert check(loaded.known) == []
    assert overheads(loaded.records).whole
    await _the_log_tells(current, first)


async def _the_log_tells(current: Settings, played: Played) -> None:
    answered = played.posts[-4:]
    for post in answered:
        told = await traced(current, wamid=post.sent[0].wamid)
        assert [outcome.kind in post.sent[0].expects for outcome in told.outcomes] == [True]
        assert told.entries[0].what == "the customer sent text"
    ours = next(a for a in played.known.accepted)
    assert (await traced(current, wamid=ours.wamid)).entries
    kinds = {o.kind for outcomes in played.known.outcomes.values() for o in outcomes}
    assert kinds == {OutcomeKind.ANSWERED, OutcomeKind.HANDED, OutcomeKind.IGNORED}
    with pytest.raises(NotOnTheLog):
        await traced(current, wamid="wamid.nowhere")
