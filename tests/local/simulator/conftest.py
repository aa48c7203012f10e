from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from streams.local.simulator import Simulator, application
from streams.local.simulator.postman import Postman
from tests.local.simulator.surroundings import SECRET, Clock, Webhook


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def webhook() -> Webhook:
    return Webhook()


@pytest.fixture
async def simulator(clock: Clock, webhook: Webhook) -> AsyncIterator[Simulator]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(webhook)) as out:
        postman = Postman(out, "http://ours/webhooks/whatsapp/simulator", SECRET, clock)
        yield Simulator(postman, clock, seed=7)


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application(simulator))
    async with httpx.AsyncClient(transport=transport, base_url="http://sim") as client:
        yield client
