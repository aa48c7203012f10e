from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest

from streams.local.simulator import Simulator
from streams.local.simulator.oddities import ODDITIES, make_odd
from streams.local.simulator.script import Kind, wishes
from streams.whatsapp import Message, parse
from tests.local.simulator.surroundings import NUMBER, Webhook

SAID = {"phone_number_id": NUMBER, "from": "5511999990001", "text": "Oi", "name": "Ana"}


def plain(simulator: Simulator) -> dict[str, Any]:
    return simulator.customer(SAID)[1]


@pytest.mark.parametrize("number", range(len(ODDITIES)))
def test_an_odd_body_says_the_same(simulator: Simulator, number: int) -> None:
    body = plain(simulator)
    (before,) = parse(orjson.dumps(body))

    name = make_odd(body, number)
    odd = orjson.dumps(body)
    (after,) = parse(odd)

    assert name == list(ODDITIES)[number]
    assert odd != orjson.dumps(plain(simulator))
    assert isinstance(before, Message)
    assert isinstance(after, Message)
    assert (after.wamid, after.content, after.sent_at) == (
        before.wamid,
        before.content,
        before.sent_at,
    )
    assert before.identifiers[0] in after.identifiers
    assert after.answerable


async def test_every_shape_comes_in_turn(
    client: httpx.AsyncClient, simulator: Simulator, webhook: Webhook
) -> None:
    for each in wishes(f"odd={len(ODDITIES)}"):
        simulator.script.add(each)
    for _ in range(len(ODDITIES) + 1):
        assert (await client.post("/_simulator/messages", json=SAID)).status_code == 200

    shapes = [act["detail"]["shape"] for act in simulator.journal.select(kind=Kind.ODD)]
    assert shapes == list(ODDITIES)
    assert len(webhook.bodies) == len(ODDITIES) + 1
