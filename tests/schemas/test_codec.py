from __future__ import annotations

import io
import string
import types
from enum import StrEnum
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.avro_schema import schema_of
from schemas.codec import HEADER, MAGIC, Codec, UnknownSchema
from schemas.errors import Rejected
from schemas.events import (
    Event,
    MessageReceived,
    TimerFired,
)
from schemas.examples import Example, examples
from schemas.topics import TOPICS, Topic

CODEC = Codec.offline()
EXAMPLES = examples()
HELLO = next(example.event for example in EXAMPLES if isinstance(example.event, MessageReceived))
FOREIGN = '{"type": "record", "name": "Invoice", "namespace": "shop", "fields": []}'

NAMES = [topic.name for topic in TOPICS]


LONG = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    int: LONG,
    str: TEXT,
    bool: st.booleans(),
    float: st.floats(allow_nan=False),
    types.NoneType: st.none(),
}


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a field's type that Avro can hold: 64-bit integers, text that is Unicode."""
    arguments = get_args(hint)
    if hint in SCALARS:
        return SCALARS[hint]
    if get_origin(hint) is Annotated:
        return values(arguments[0])
    if get_origin(hint) is tuple:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if arguments:
        return st.one_of(*map(values, arguments))
    return st.sampled_from(hint) if issubclass(hint, StrEnum) else records(hint)


def records(record: type, **fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(record, include_extras=True)
    return st.builds(record, **{name: values(hint) for name, hint in hints.items()} | fixed)


def v(schema_id: int, body: bytes = b"") -> bytes:
    return HEADER.pack(MAGIC, schema_id) + body


def reason(raw: bytes | None, codec: Codec = CODEC) -> str:
    with pytest.raises(Rejected) as refused:
        codec.decode(raw)
    return refused.value.reason


ENDINGS = {*get_args(Event), "truncated", "bad_value", "trailing_bytes"}


def ending(raw: bytes) -> type | str:
    try:
        return type(CODEC.decode(raw))
    except Rejected as refused:
        return refused.reason


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_every_example_comes_back_as_it_was(example: Example) -> None:
    assert CODEC.decode(CODEC.encode(example.event)) == example.event


@pytest.mark.parametrize("topic", TOPICS, ids=NAMES)
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_every_event_comes_back_as_it_was(topic: Topic, data: st.DataObject) -> None:
    event = data.draw(records(topic.record, event=st.just(topic.name)))

    assert CODEC.decode(CODEC.encode(event)) == event


def test_the_bytes_are_those_of_the_schema_with_its_logical_types() -> None:
    raw = CODEC.encode(HELLO)
    body = io.BytesIO()
    schemaless_writer(body, parse_schema(schema_of(MessageReceived)), msgspec.to_builtins(HELLO))

    assert raw[HEADER.size :] == body.getvalue()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_a_value_that_was_cut_short_is_rejected_as_truncated(example: Example) -> None:
    raw = CODEC.encode(example.event)

    assert {reason(raw[:length]) for length in range(len(raw))} == {"truncated"}


@given(tail=st.binary(min_size=1))
def test_bytes_after_the_body_are_rejected(tail: bytes) -> None:
    assert reason(CODEC.encode(HELLO) + tail) == "trailing_bytes"


@given(raw=st.binary())
def test_random_bytes_are_rejected(raw: bytes) -> None:
    with pytest.raises(Rejected):
        CODEC.decode(raw)


@given(topic=st.sampled_from(NAMES), body=st.binary(max_size=400))
def test_a_random_body_is_decoded_or_rejected(topic: str, body: bytes) -> None:
    head = CODEC.encode(next(e.event for e in EXAMPLES if e.event.event == topic))[: HEADER.size]

    assert ending(head + body) in ENDINGS


@given(place=st.integers(min_value=HEADER.size), new=st.integers(0, 255))
def test_a_damaged_value_is_decoded_or_rejected(place: int, new: int) -> None:
    raw = bytearray(CODEC.encode(HELLO))
    raw[HEADER.size + place % (len(raw) - HEADER.size)] = new

    assert ending(bytes(raw)) in ENDINGS


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        # a tombstone
        (None, "null_value"),
        (b"", "truncated"),
        # plain JSON, as a producer without our serializer would write it
        (b'{"event":"inbox.message.received"}', "bad_magic"),
        # the header ends inside the id
        (b"\x00\x00\x00", "truncated"),
        (v(4242, b"x"), "unknown_schema"),
        # a string whose length is negative, and one longer than memory
        (CODEC.encode(HELLO)[: HEADER.size] + b"\x01", "truncated"),
        (CODEC.encode(HELLO)[: HEADER.size] + b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f", "truncated"),
        # text that is not UTF-8
        (CODEC.encode(HELLO)[: HEADER.size] + b"\x04\xff\xfe" + b"\x00" * 90, "bad_value"),
    ],
)
def test_each_kind_of_bad_value_has_its_reason(raw: bytes | None, expected: str) -> None:
    assert reason(raw) == expected


def test_an_unknown_schema_is_named_so_that_it_can_be_asked_for() -> None:
    with pytest.raises(UnknownSchema) as unknown:
        CODEC.decode(v(4242, b"x"))

    assert unknown.value.schema_id == 4242


@pytest.mark.parametrize(
    "changed",
    [
        {"sent_at": 2**63},
        {"text": "\ud800"},
        {"text": 7},
        {"kind": "a_kind_that_we_do_not_know"},
        {"sender": None},
    ],
)
def test_a_value_that_does_not_fit_is_refused_without_quoting_it(changed: dict[str, Any]) -> None:
    event = _replaced(HELLO, changed)

    with pytest.raises(Rejected) as refused:
        CODEC.encode(event)

    assert refused.value.reason == "bad_value"
    assert str(refused.value).startswith("bad_value: MessageReceived: ")
    assert set(str(refused.value)) <= set(string.ascii_letters + ":_ ")


def test_an_event_on_the_topic_of_another_record_is_refused() -> None:
    with pytest.raises(Rejected) as refused:
        CODEC.encode(_replaced(HELLO, {"event": "conversation.timer.fired"}))

    assert refused.value.reason == "wrong_record"


def test_a_foreign_record_is_rejected_as_such() -> None:
    codec = Codec.offline()
    codec.teach(7, FOREIGN)

    assert reason(v(7), codec) == "wrong_record"


@pytest.mark.parametrize("text", ["", "[]", "{}", '"string"', '{"type": "record"}', "not JSON"])
def test_a_schema_that_is_no_record_of_ours_is_rejected_as_such(text: str) -> None:
    codec = Codec.offline()
    codec.teach(7, text)

    assert reason(v(7), codec) == "wrong_record"


def test_one_schema_id_may_serve_both_topics_of_a_record() -> None:
    ids = _ids()
    ids["outbound.timer.fired"] = ids["conversation.timer.fired"]
    codec = Codec(ids)
    timers = [example.event for example in EXAMPLES if isinstance(example.event, TimerFired)]

    assert [codec.decode(codec.encode(timer)) for timer in timers] == timers


def _ids() -> dict[str, int]:
    return {topic.name: 100 + place for place, topic in enumerate(TOPICS)}


def _replaced(event: Event, changed: dict[str, Any]) -> Any:
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    return type(event)(**{**fields, **changed})
