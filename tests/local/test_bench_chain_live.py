from __future__ import annotations

import pytest

from schemas.errors import PipelineError
from streams.local.bench.chain import chain
from streams.local.bench.hops import Variant
from streams.local.bench.topics import HOPS
from streams.local.stack import Stack
from streams.local.stack.options import Layout
from streams.local.stack.process import Identity

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.mark.parametrize(
    ("variant", "layout", "processes"),
    [
        (Variant.PLAIN, "all-in-one", 1),
        (Variant.WORKING, "split", HOPS),
        (Variant.OURS, "all-in-one", 1),
        (Variant.OURS, "split", HOPS),
    ],
)
async def test_every_record_comes_out_of_five_hops_once_and_in_order(
    stack: Stack, variant: Variant, layout: Layout, processes: int
) -> None:
    async with chain(stack, variant, layout) as standing:
        hops = [Identity.of(hop.pid) for hop in standing.hops]
        first = (await standing.burst(100, 3)).passage
        second = await standing.burst(50, 3)

    assert (first.sent, first.wrong) == (300, 0)
    assert (second.passage.sent, second.passage.wrong) == (150, 0)
    assert all(ms > 0 for ms in second.passage.took_ms)
    assert second.hops_us > 0
    assert len(set(hops)) == processes
    assert not any(hop is None or hop.alive() for hop in hops)


async def test_a_chain_one_of_whose_hops_died_says_so(stack: Stack) -> None:
    async with chain(stack, Variant.PLAIN, "split") as standing:
        dead = standing.hops[2].process
        dead.kill()
        await dead.wait()

        with pytest.raises(PipelineError, match="hops ended with -9"):
            await standing.burst(50, 3)
