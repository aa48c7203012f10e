from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.kafka.publish import Record
from streams.state.controls import Owner
from streams.state.parking import Parking
from streams.state.records import Entry, Head, Unreadable, next_due

TEXT = st.text(max_size=20)
RECORDS = st.builds(
    Record,
    topic=TEXT,
    key=st.none() | st.binary(max_size=20),
    value=st.none() | st.binary(max_size=200),
    headers=st.lists(st.tuples(TEXT, st.binary(max_size=20)), max_size=4).map(tuple),
    timestamp_ms=st.none() | st.integers(0, 2**53),
)
ENTRIES = st.builds(
    Entry,
    state=st.binary(max_size=200),
    applied=st.dictionaries(TEXT, st.integers(-1, 2**53), max_size=4),
    source=st.tuples(TEXT, st.integers(-1, 2**53)),
    outbox=st.lists(RECORDS, max_size=4).map(tuple),
    epoch=st.integers(0, 2**31),
    due_ms=st.none() | st.integers(0, 2**53),
    parked=st.none()
    | st.builds(
        Parking,
        parking_id=TEXT,
        reason=TEXT,
        since_ms=st.integers(0, 2**53),
        last=st.integers(1, 2**31),
        next=st.integers(1, 2**31),
        failures=st.integers(1, 2**31),
    ),
)


@given(ENTRIES)
def test_an_entry_comes_back_as_it_was(entry: Entry) -> None:
    assert Entry.loads(entry.dumps()) == entry


@given(ENTRIES)
def test_the_head_alone_tells_what_is_applied_and_due(entry: Entry) -> None:
    head = Head.of(entry.dumps())

    assert (head.applied, head.epoch, head.due_ms) == (entry.applied, entry.epoch, entry.due_ms)
    assert all(head.covers(topic, offset) for topic, offset in entry.applied.items())
    assert not any(head.covers(topic, offset + 1) for topic, offset in entry.applied.items())
    assert head.belongs(*entry.source)


@given(st.binary(max_size=200))
def test_foreign_bytes_are_unreadable_and_nothing_else(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        Entry.loads(raw)


@given(ENTRIES, st.integers(1, 50))
def test_a_cut_entry_is_unreadable(entry: Entry, cut: int) -> None:
    raw = entry.dumps()

    with pytest.raises(Unreadable):
        Entry.loads(raw[: max(len(raw) - cut, 0)])


def test_a_value_of_another_format_is_unreadable() -> None:
    raw = Entry(b"{}", {}).dumps()

    with pytest.raises(Unreadable, match="format 9"):
        Entry.loads(raw.replace(b"[1,", b"[9,", 1))


def test_a_value_whose_outbox_is_none_is_unreadable() -> None:
    raw = b'[1,{"m":3},["m",3],2,null,2,[7]]\n{}'

    with pytest.raises(Unreadable, match="outbox"):
        Entry.loads(raw)


def test_a_value_that_was_written_before_there_was_parking_reads_as_not_parked() -> None:
    raw = b'[1,{"m":3},["m",3],2,null,2,[]]\n{}'

    assert Entry.loads(raw) == Entry(b"{}", {"m": 3}, ("m", 3), epoch=2)


def test_an_owner_comes_back_as_it_was() -> None:
    owner = Owner(epoch=3, topics={"a": "id"})

    assert Owner.loads(owner.dumps()) == owner
    with pytest.raises(Unreadable):
        Owner.loads(b"[]")


def test_the_next_due_time_is_the_earliest() -> None:
    assert next_due({"a": 5, "b": 3}) == 3
    assert next_due({}) is None
