"""Thousands of conversations that wait for a slow model at once, on one AI worker.

The worker, the openai client, Kafka, Postgres and the search are the real ones; the model is the
shipped offline one, told to be slow.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from streams.local.bench.memory import resident_bytes
from streams.local.bench.turns import Turns, given
from streams.local.load.figures import percentile
from streams.local.stack import Stack, StackOptions, running
from streams.local.stack.own import beside
from streams.local.stack.supervisor import Tell

WORKER: Final = "worker-ai"
FRONTS: Final = ("webhook", "api", "simulator")
"""Parts that turns given straight to the AI stage do not need."""
QUICK_S: Final = 2.0
"""How long the other conversations' model calls take beside one that is very long."""
RATE: Final = 20
BESIDE_S: Final = 40.0
CALL_LIMIT_S: Final = 30.0
"""How much longer than the model's answer a call may take before the client gives up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be measured.

    Attributes:
        home: Folder of the stack.
        conversations: How many wait.
        seconds: How long the model takes for each.
        stopped: How many wait when the worker is asked to end.
    """

    home: Path
    conversations: int
    seconds: float
    stopped: int


async def waiting(asked: Asked, tell: Tell) -> list[str]:
    """Measure; return what was found, line by line."""
    options = StackOptions(
        home=asked.home,
        alone=True,
        layout="split",
        without=(*FRONTS, *beside("ai")),
        warm=False,
        settings={"MODEL_TIMEOUT_S": str(asked.seconds + CALL_LIMIT_S)},
    )
    async with running(options, tell) as stack, given(stack) as turns, _slow(stack) as model:
        return [
            *await _at_once(asked, stack, turns, model),
            *await _beside(asked, turns, model),
            *await _stopped(asked, stack, turns, model),
        ]


class SlowModel:
    """The offline model's control."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url.removesuffix("/v1") + "/control"
        self.session = session

    async def slow(self, seconds: float, times: int) -> None:
        """Let the next calls take so long."""
        fault = {"kind": "slow", "seconds": seconds, "times": times}
        async with self.session.post(self.url, json={"faults": [fault]}) as answer:
            answer.raise_for_status()

    async def calls(self) -> int:
        """Return how many calls came since ``forget``."""
        async with self.session.get(self.url) as answer:
            told: dict[str, Any] = await answer.json()
        return int(told["requests"])

    async def forget(self) -> None:
        """Be quick again, and count from 0."""
        async with self.session.delete(self.url) as answer:
            answer.raise_for_status()


@contextlib.asynccontextmanager
async def _slow(stack: Stack) -> AsyncIterator[SlowModel]:
    async with aiohttp.ClientSession() as session:
        yield SlowModel(stack.env["OPENAI_BASE_URL"], session)


async def _at_once(asked: Asked, stack: Stack, turns: Turns, model: SlowModel) -> list[str]:
    """All of them wait at once."""
    await model.slow(asked.seconds, asked.conversations)
    before = resident_bytes(stack.pid(WORKER))
    sending = asyncio.create_task(turns.send(asked.conversations, over_s=asked.seconds))
    peak = before
    while not sending.done():
        await asyncio.sleep(1.0)
        peak = max(peak, resident_bytes(stack.pid(WORKER)))
    ids = await sending
    await turns.until(lambda: set(ids) <= turns.ended.keys(), asked.seconds + 60)
    took = sorted(turns.took_s(ids))
    calls = await model.calls()
    await model.forget()
    each = (peak - before) / asked.conversations / 1024
    return [
        (
            f"{asked.conversations} conversations, begun within {asked.seconds:g} s,"
            f" a model that takes {asked.seconds:g} s: {len(took)} answered, {calls} model calls,"
            f" {turns.twice} answered twice"
        ),
        (
            f"  from its start to its answer: p50 {percentile(took, 50):.2f} s"
            f"  p99 {percentile(took, 99):.2f} s  longest {max(took, default=0):.2f} s"
        ),
        (
            f"  memory of the worker: {before >> 20} MiB before, {peak >> 20} MiB at most:"
            f" {each:.1f} KiB for each conversation that waits"
        ),
    ]


async def _beside(asked: Asked, turns: Turns, model: SlowModel) -> list[str]:
    """One very long call beside many short ones."""
    count = int(RATE * BESIDE_S)
    found = {}
    for name, long_s in (("without", 0.0), ("beside", asked.seconds)):
        if long_s:
            await model.slow(long_s, 1)
        await model.slow(QUICK_S, count)
        first = await turns.send(1, over_s=1.0) if long_s else []
        ids = await turns.send(count, over_s=BESIDE_S)
        await turns.until(lambda: set(ids + first) <= turns.ended.keys(), asked.seconds + 60)  # noqa: B023 - awaited here
        found[name] = sorted(turns.took_s(ids))
        await model.forget()
    p99 = {name: percentile(took, 99) for name, took in found.items()}
    return [
        (
            f"{count} conversations at {RATE}/s, a model that takes {QUICK_S:g} s:"
            f" p99 {p99['without']:.3f} s; with one call of {asked.seconds:g} s among them"
            f" {p99['beside']:.3f} s: {p99['beside'] / p99['without']:.2f} times"
        )
    ]


async def _stopped(asked: Asked, stack: Stack, turns: Turns, model: SlowModel) -> list[str]:
    """SIGTERM while calls are open: the next worker makes them again."""
    await model.slow(asked.seconds, asked.stopped * 3)
    ids = await turns.send(asked.stopped, over_s=5.0)
    await _until_called(model, asked.stopped)
    await stack.stop(WORKER)
    await stack.start(WORKER)
    await turns.until(lambda: set(ids) <= turns.ended.keys(), asked.seconds * 2 + 60)
    ended = [turns.ended[turn_id] for turn_id in ids if turn_id in turns.ended]
    repeated = await model.calls() - asked.stopped
    tokens = sum(end.prompt_tokens for end in ended) // max(1, len(ended))
    return [
        (
            f"SIGTERM with {asked.stopped} calls open: {len(ended)} answered, {turns.twice} of them"
            f" twice, {repeated} calls repeated, which cost {repeated * tokens} prompt tokens"
        )
    ]


async def _until_called(model: SlowModel, calls: int) -> None:
    async with asyncio.timeout(60):
        while await model.calls() < calls:  # noqa: ASYNC110 - another process counts them
            await asyncio.sleep(0.5)
