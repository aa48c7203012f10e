"""A benchmark measures parts of its own, and nobody else's pay for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import Misconfigured
from streams.local.bench import chain, failover, pipeline, rates, waiting


def tell(_name: str, _line: str) -> None:
    raise AssertionError("something was started")


async def opened(lent: AbstractAsyncContextManager[Any]) -> None:
    async with lent:
        raise AssertionError("something was started")


def slow(home: Path) -> waiting.Asked:
    return waiting.Asked(home=home, conversations=1, seconds=1.0, stopped=1)


def fast(home: Path) -> rates.Asked:
    return rates.Asked(
        folder=home,
        workers=1,
        limit=80,
        load=1.0,
        seconds=6.0,
        kill=False,
        window_s=86_400.0,
        inbound=0.0,
    )


@pytest.mark.parametrize(
    "measured",
    [
        lambda home: opened(pipeline.pipeline(home, "split", 1, tell)),
        lambda home: opened(chain.warm_stack(home, tell)),
        lambda home: failover.failover(home, tell),
        lambda home: waiting.waiting(slow(home), tell),
        lambda home: rates.rates(fast(home), tell),
    ],
)
async def test_a_part_of_the_environment_is_refused_before_anything_is_started(
    measured: Callable[[Path], Awaitable[object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-key")

    with pytest.raises(Misconfigured, match="unset OPENAI_API_KEY"):
        await measured(tmp_path)
