from __future__ import annotations

import json
import re
from typing import Any

import pytest

from schemas.events import HumanReplied, MessageReceived, StatusReceived
from streams.whatsapp import Echo, Message, Other, Status, parse
from tests.streams.webhook.world import PAYLOADS, World, bodies, expected

RECORDED = bodies()
NAMES = [name for name, _ in RECORDED]


def counted(parts: tuple[Any, ...]) -> dict[str, int]:
    kinds = (Message, Status, Echo, Other)
    return {kind.__name__: sum(isinstance(part, kind) for part in parts) for kind in kinds}


@pytest.mark.parametrize(("name", "body"), RECORDED, ids=NAMES)
def test_a_recorded_body_has_one_part_for_each_thing_that_it_tells(name: str, body: Any) -> None:
    parts = parse(json.dumps(body).encode())

    assert counted(parts) == expected(body), name


def test_the_counts_agree_with_the_index_of_the_bodies() -> None:
    rows = re.findall(
        r"^\| (\w+)\.json .*?\| (?:(\d+) (messages|statuses)|0) \|",
        (PAYLOADS / "clients" / "INDEX.md").read_text(),
        re.MULTILINE,
    )
    index = {name: (int(count or 0), kind) for name, count, kind in rows}

    found = {}
    for name, body in RECORDED:
        if (file := name.removesuffix(":")) in index:
            told = counted(parse(json.dumps(body).encode()))
            kind = index[file][1]
            found[file] = (told["Message"] + told["Status"], kind)

    assert len(index) == 57
    assert found == index


@pytest.mark.parametrize(("name", "body"), RECORDED, ids=NAMES)
async def test_a_recorded_body_is_answered_with_200_and_nothing_is_lost(
    name: str, body: Any
) -> None:
    world = World()

    answer = await world.post(body)

    told = expected(body)
    kinds = [type(event) for event in world.events()]
    assert answer.status_code == 200
    assert answer.content == b""
    assert kinds.count(MessageReceived) == told["Message"], name
    assert kinds.count(StatusReceived) == told["Status"], name
    assert kinds.count(HumanReplied) == told["Echo"], name
    assert [reason for reason, _ in world.letters()] == ["no_conversation"] * told["Other"], name


async def test_the_recorded_signature_of_a_real_body_is_right() -> None:
    vector = json.loads((PAYLOADS / "hmac_vector.json").read_text())
    world = World()

    answer = await world.post(
        vector["raw_body"].encode(), **{"X-Hub-Signature-256": vector["x_hub_signature_256"]}
    )

    (event,) = world.events()
    assert answer.status_code == 200
    assert isinstance(event, MessageReceived)
    assert event.text == "Hey there! I am using PyWa."
