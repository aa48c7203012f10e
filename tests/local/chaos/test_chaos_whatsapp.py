from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from streams.local.chaos import outages
from streams.local.chaos.catalogue import FAULTS
from streams.local.chaos.schedule import Planned

KINDS = ("cut", "gateway", "error", "slow", "early_status")
W1 = Planned(fault="W1", whom=("simulator",), share=0.3, seconds=0.0, seed=1)


class Simulator:
    """Lets one more kind of thing happen each time that it is asked, once somebody sends again."""

    def __init__(self, quiet: int) -> None:
        self.asked = -quiet
        self.behaves = False

    async def control(self, _: web.Request) -> web.Response:
        self.asked += 1
        return web.json_response({"happened": dict.fromkeys(KINDS[: max(0, self.asked)], 1)})

    async def misbehave(self, _: web.Request) -> web.Response:
        return web.json_response({"happened": {}})

    async def behave(self, _: web.Request) -> web.Response:
        self.behaves = True
        return web.json_response({"happened": {}})


async def struck(simulator: Simulator) -> dict[str, float | str]:
    app = web.Application()
    app.router.add_get("/_simulator/control", simulator.control)
    app.router.add_post("/_simulator/misbehaviour", simulator.misbehave)
    app.router.add_delete("/_simulator/misbehaviour", simulator.behave)
    async with TestServer(app) as server, ClientSession() as client:
        ground: Any = SimpleNamespace(
            current=SimpleNamespace(whatsapp_api_url=str(server.make_url("/v25.0"))),
            customers=SimpleNamespace(world=SimpleNamespace(client=client)),
        )
        return await outages.whatsapp(ground, W1)


async def test_whatsapp_goes_on_misbehaving_until_somebody_has_sent_enough() -> None:
    simulator = Simulator(quiet=3)

    seen = await struck(simulator)

    assert seen == {"kinds": len(KINDS), **dict.fromkeys(KINDS, 1)}
    assert FAULTS["W1"].proof(seen) is None
    assert simulator.behaves


async def test_whatsapp_behaves_again_though_nobody_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "WHATSAPP_S", 0.0)
    simulator = Simulator(quiet=3)

    seen = await struck(simulator)

    assert seen == {"kinds": 0}
    assert simulator.behaves
