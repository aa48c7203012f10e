"""Older and newer writers beside us, and what the registry is asked."""

from __future__ import annotations

import io
import json
from typing import Any

import msgspec
import pytest
from fastavro import parse_schema, schemaless_writer

from schemas.avro_schema import schema_of
from schemas.codec import HEADER, MAGIC, Codec
from schemas.errors import Rejected, Unavailable
from schemas.events import Event, MessageKind, MessageReceived, StatusReceived
from schemas.examples import examples
from schemas.topics import TOPICS, Topic

CODEC = Codec.offline()
EXAMPLES = examples()
HELLO = next(example.event for example in EXAMPLES if isinstance(example.event, MessageReceived))
NAMES = [topic.name for topic in TOPICS]


def v(schema_id: int, body: bytes = b"") -> bytes:
    return HEADER.pack(MAGIC, schema_id) + body


def written(schema: Any, value: Any, schema_id: int) -> bytes:
    body = io.BytesIO()
    schemaless_writer(body, parse_schema(schema), value)
    return v(schema_id, body.getvalue())


async def test_an_older_writer_is_read_with_our_defaults() -> None:
    older = json.loads(json.dumps(schema_of(MessageReceived)))
    older["fields"] = [field for field in older["fields"] if field["name"] != "raw_sha256"]
    value = msgspec.to_builtins(_replaced(HELLO, {"raw_sha256": "abc"}))
    codec = Codec(_ids(), lookup=_registry({9: json.dumps(older)}))

    assert await codec.read(written(older, value, 9)) == _replaced(HELLO, {"raw_sha256": ""})


async def test_a_newer_writer_is_read_without_what_we_do_not_know() -> None:
    newer = json.loads(json.dumps(schema_of(MessageReceived)))
    newer["fields"].insert(0, {"name": "mood", "type": "string", "default": ""})
    kind = next(field for field in newer["fields"] if field["name"] == "kind")
    kind["type"]["symbols"].append("hologram")
    value = {**msgspec.to_builtins(HELLO), "mood": "sunny", "kind": "hologram"}
    codec = Codec(_ids(), lookup=_registry({9: json.dumps(newer)}))

    expected = _replaced(HELLO, {"kind": MessageKind.UNKNOWN})
    assert await codec.read(written(newer, value, 9)) == expected


@pytest.mark.parametrize("topic", TOPICS, ids=NAMES)
async def test_a_newer_symbol_of_any_enum_reads_as_the_default(topic: Topic) -> None:
    newer = json.loads(json.dumps(schema_of(topic.record)))
    enums = _enums(newer)
    for enum in enums:
        enum["symbols"] = ["from_the_future", *enum["symbols"][1:]]
        enum["default"] = "from_the_future"
    example = next(example.event for example in EXAMPLES if example.event.event == topic.name)
    ours = {enum["name"]: enum["default"] for enum in _enums(schema_of(topic.record))}
    value = msgspec.to_builtins(example)
    fields = [
        f["name"] for f in newer["fields"] if _enums(f["type"]) and f["type"]["type"] == "enum"
    ]
    for field in fields:
        value[field] = "from_the_future"
    codec = Codec(_ids(), lookup=_registry({9: json.dumps(newer)}))

    event = await codec.read(written(newer, value, 9))

    got = {field: getattr(event, field) for field in fields}
    assert got == {field: ours[type(getattr(event, field)).__name__] for field in fields}


async def test_a_writer_whose_schema_cannot_be_read_as_ours_has_written_a_bad_value() -> None:
    """A registry compares the versions of one subject only, and takes such a schema in another."""
    other = json.loads(json.dumps(schema_of(MessageReceived)))
    other["fields"] = [{"name": "event_id", "type": "long"}]
    codec = Codec(_ids(), lookup=_registry({9: json.dumps(other)}))

    with pytest.raises(Rejected) as caught:
        await codec.read(written(other, {"event_id": 7}, 9))

    assert (caught.value.reason, caught.value.detail) == (
        ("bad_value", "MessageReceived: SchemaResolutionError")
    )


async def test_a_schema_is_asked_for_once() -> None:
    asked: list[int] = []
    codec = Codec(_ids(), lookup=_registry({9: json.dumps(schema_of(StatusReceived))}, asked))
    status = next(
        example.event for example in EXAMPLES if isinstance(example.event, StatusReceived)
    )
    raw = v(9, CODEC.encode(status)[HEADER.size :])

    assert [await codec.read(raw), await codec.read(raw)] == [status, status]
    assert asked == [9]


async def test_a_schema_that_is_known_is_not_asked_for() -> None:
    asked: list[int] = []
    codec = Codec(_ids(), lookup=_registry({}, asked))

    await codec.learn(_ids()["inbox.message.received"])

    assert asked == []


async def test_an_id_that_the_registry_does_not_have_is_rejected() -> None:
    codec = Codec(_ids(), lookup=_registry({}))

    with pytest.raises(Rejected) as refused:
        await codec.read(v(9, b"x"))

    assert refused.value.reason == "unknown_schema"


async def test_a_registry_that_is_down_is_told_apart_from_a_missing_id() -> None:
    async def down(_schema_id: int) -> str | None:
        raise Unavailable("registry")

    with pytest.raises(Unavailable):
        await Codec(_ids(), lookup=down).read(v(9, b"x"))


def _ids() -> dict[str, int]:
    return {topic.name: 100 + place for place, topic in enumerate(TOPICS)}


def _registry(schemas: dict[int, str], asked: list[int] | None = None) -> Any:
    async def lookup(schema_id: int) -> str | None:
        if asked is not None:
            asked.append(schema_id)
        return schemas.get(schema_id)

    return lookup


def _replaced(event: Event, changed: dict[str, Any]) -> Any:
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    return type(event)(**{**fields, **changed})


def _enums(schema: Any) -> list[dict[str, Any]]:
    if isinstance(schema, list):
        return [enum for branch in schema for enum in _enums(branch)]
    if not isinstance(schema, dict):
        return []
    if schema.get("type") == "enum":
        return [schema]
    return _enums([field["type"] for field in schema.get("fields", ())] + [schema.get("items")])
