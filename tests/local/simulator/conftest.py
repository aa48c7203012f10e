from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from streams.local.simulator import Simulator, application
from tests.local.simulator.surroundings import Clock, Webhook


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def webhook() -> Webhook:
    return Webhook()


@pytest.fixture
def simulator(clock: Clock, webhook: Webhook) -> Simulator:
    return Simulator(webhook.post, clock, seed=7)


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application(simulator))
    async with httpx.AsyncClient(transport=transport, base_url="http://sim") as client:
        yield client
