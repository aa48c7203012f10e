from __future__ import annotations

import pytest

from streams.local.bench.hop import VANILLA, Bench
from streams.local.bench.variants import in_turns
from streams.local.stack import Stack
from streams.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


async def test_each_variant_of_a_hop_relays_every_record_in_a_process_of_its_own(
    stack: Stack,
) -> None:
    every = list(Bench(Settings(), 1).variants)

    figures = [figure async for figure in in_turns(stack.env, every, 200, turns=1)]

    assert [figure.variant for figure in figures] == every
    assert VANILLA in every
    assert all(figure.events == 200 and figure.per_second > 0 for figure in figures)
    assert all(figure.cpu_us > 0 for figure in figures)


async def test_variants_are_measured_in_turns(stack: Stack) -> None:
    pair = ["plain relay, no state", "plain aiokafka loop"]

    figures = [figure async for figure in in_turns(stack.env, pair, 100, turns=2)]

    assert [figure.variant for figure in figures] == pair * 2
