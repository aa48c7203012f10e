from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from hypothesis import given
from hypothesis import strategies as st

from schemas.avro_schema import plain, schema_of
from schemas.codec import HEADER, MISFITS, Codec
from schemas.compiled import read_long, reader_of, writer_of
from schemas.errors import Rejected
from schemas.events import (
    Cause,
    Event,
    MessageReceived,
    Person,
)
from schemas.examples import Example, examples

CODEC = Codec.offline()
EXAMPLES = examples()
BY_NAME: dict[str, Event] = {example.name: example.event for example in EXAMPLES}
HELLO = next(event for event in BY_NAME.values() if isinstance(event, MessageReceived))
PARSED: dict[type, Any] = {}


def parsed(record: type) -> Any:
    if record not in PARSED:
        PARSED[record] = parse_schema(plain(schema_of(record)))
    return PARSED[record]


def by_fastavro(event: Event) -> bytes:
    body = io.BytesIO()
    schemaless_writer(body, parsed(type(event)), msgspec.to_builtins(event))
    return body.getvalue()


def read_by_fastavro(raw: bytes, record: type[Event]) -> tuple[Event, int]:
    body = io.BytesIO(raw)
    found = msgspec.convert(schemaless_reader(body, parsed(record), None), record)
    return found, body.tell()


def by_us(event: Event) -> bytes:
    parts: list[bytes] = []
    writer_of(type(event))(event, parts.append)
    return b"".join(parts)


def changed(event: Event, **fields: Any) -> Any:
    return msgspec.structs.replace(event, **fields)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_the_bytes_are_those_of_fastavro(example: Example) -> None:
    assert by_us(example.event) == by_fastavro(example.event)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_what_is_read_is_what_fastavro_reads(example: Example) -> None:
    raw = by_fastavro(example.event)

    assert reader_of(type(example.event))(raw, 0) == (example.event, len(raw))


@given(
    example=st.sampled_from(EXAMPLES),
    place=st.integers(min_value=0),
    new=st.integers(0, 255),
    cut=st.integers(0, 8),
)
def test_of_damaged_bytes_we_read_what_fastavro_reads_or_nothing(
    example: Example, place: int, new: int, cut: int
) -> None:
    raw = bytearray(by_fastavro(example.event))
    raw[place % len(raw)] = new
    damaged, record = bytes(raw[: len(raw) - cut]), type(example.event)

    try:
        found, end = reader_of(record)(damaged, 0)
    except MISFITS:
        return  # fastavro is asked

    if end == len(damaged):  # else fastavro is asked as well
        # As text: a number that is none is not equal to itself.
        assert repr((found, end)) == repr(read_by_fastavro(damaged, record))


@given(number=st.integers(-(2**63), 2**63 - 1))
def test_a_number_of_any_size_is_written_and_read(number: int) -> None:
    event = changed(HELLO, sent_at=number)
    raw = by_us(event)

    assert raw == by_fastavro(event)
    assert reader_of(MessageReceived)(raw, 0) == (event, len(raw))


@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=0, max_size=5000))
def test_a_text_of_any_length_is_written_and_read(text: str) -> None:
    event = changed(HELLO, text=text * 5)
    raw = by_us(event)

    assert raw == by_fastavro(event)
    assert reader_of(MessageReceived)(raw, 0) == (event, len(raw))


@pytest.mark.parametrize(
    "raw",
    [
        # eleven groups, and ten that hold more than 64 bits
        b"\x80" * 10 + b"\x01",
        b"\xff" * 9 + b"\x02",
    ],
)
def test_a_number_of_more_than_64_bits_is_not_read(raw: bytes) -> None:
    with pytest.raises(OverflowError):
        read_long(raw, 0)


@pytest.mark.parametrize(
    "fields",
    [
        # whole numbers that are truths, and the other way round
        {"sent_at": True},
        {"answerable": 1},
        # what reads like a record of ours, and is none
        {"sender": {"wa_id": "1", "user_id": None, "name": None}},
        {"text": 7},
        {"sent_at": 1.5},
        {"sent_at": 2**63},
        {"kind": "a_kind_that_we_do_not_know"},
        {"cause": Person()},
    ],
)
def test_of_a_value_of_another_type_fastavro_has_the_word(fields: dict[str, Any]) -> None:
    event = changed(HELLO, **fields)
    with pytest.raises(MISFITS):
        by_us(event)

    try:
        expected: Any = by_fastavro(event)
    except MISFITS:
        expected = "bad_value"

    assert written(event) == expected


def written(event: Event) -> bytes | str:
    try:
        return CODEC.encode(event)[HEADER.size :]
    except Rejected as refused:
        return refused.reason


def test_a_list_in_blocks_that_tell_their_size_is_left_to_fastavro() -> None:
    """Other writers may write so: a count below zero, then the bytes of the block."""
    event = changed(HELLO, cause=Cause(topic="t", partition=0, offset=1, seq=1, decided_at=2))
    heard = changed(event, cause=changed(event.cause, heard=("a",)))
    raw = CODEC.encode(heard)
    block = b"\x02\x02a\x00"
    assert raw.count(block) == 1

    sized = raw.replace(block, b"\x01\x04\x02a\x00")

    assert CODEC.decode(sized) == heard


def test_a_value_of_a_schema_that_is_spelled_otherwise_is_read() -> None:
    codec = Codec.offline()
    codec.teach(7, msgspec.json.encode(schema_of(MessageReceived)).decode())

    assert codec.decode(HEADER.pack(0, 7) + by_fastavro(HELLO)) == HELLO
