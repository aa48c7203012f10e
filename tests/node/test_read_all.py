from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest

from schemas.examples import examples
from schemas.topics import TOPICS
from streams.kafka.publish import Publisher, record_of
from streams.kafka.registry import open_codec
from streams.settings import Settings

READ_ALL = Path(__file__).parent / "read_all.js"
EVENTS = [example.event for example in examples()]

Place = tuple[str, int, int]
"""Topic, partition, offset."""


class Node(Protocol):
    """The fixture ``node_project``."""

    def run(self, script: Path, *arguments: str, timeout_s: float = ...) -> str: ...


async def _publish(settings: Settings) -> dict[Place, Any]:
    """Publish every example; return what a reader must see, by place."""
    codec = await open_codec(settings)
    publisher = Publisher(settings.kafka_bootstrap, client_id="whaticket.test")
    await publisher.start()
    try:
        records = [record_of(event, codec) for event in EVENTS]
        places = await asyncio.gather(*[await publisher.post(record) for record in records])
    finally:
        await publisher.stop()
    return {
        (record.topic, *place): (
            (record.key or b"").decode(),
            {name: value.decode() for name, value in record.headers},
            msgspec.json.decode(msgspec.json.encode(event)),
        )
        for event, record, place in zip(EVENTS, records, places, strict=True)
    }


@pytest.mark.integration
async def test_npm_clients_read_every_topic_as_python_wrote_it(
    provisioned: Settings, node_project: Node
) -> None:
    expected = await _publish(provisioned)
    names = [topic.name for topic in TOPICS]

    told = await asyncio.to_thread(
        node_project.run,
        READ_ALL,
        provisioned.kafka_bootstrap,
        provisioned.schema_registry_url,
        *names,
    )

    lines = [json.loads(line) for line in told.splitlines()]
    read = {
        (line["topic"], line["partition"], line["offset"]): (
            line["key"],
            line["headers"],
            line.get("value"),
        )
        for line in lines
    }
    assert {place: read.get(place) for place in expected} == expected
    assert {place[0] for place in expected} == set(names)
