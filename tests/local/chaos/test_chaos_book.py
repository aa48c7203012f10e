from __future__ import annotations

from streams.local.chaos.book import Book
from streams.local.chaos.facts import Stored
from streams.state.controls import FUSE_KEY, OWNER_KEY, Owner
from streams.state.records import Entry


def value(state: bytes) -> bytes:
    return Entry(state, {"m": 1}).dumps()


def test_a_book_counts_records_bytes_and_the_largest_state() -> None:
    book = Book("ai")
    rows = [(b"conv_a", value(b"x" * 40)), (b"conv_b", value(b"x" * 900)), (b"conv_a", value(b"x"))]

    for key, raw in rows:
        book.note(key, raw)

    assert book.closed() == Stored(
        stage="ai",
        records=3,
        stored_bytes=sum(len(raw) for _, raw in rows),
        conversations=2,
        largest_bytes=900,
    )


def test_control_records_and_deletions_have_no_state() -> None:
    book = Book("ai")
    owner = Owner(epoch=1, topics={}).dumps()

    for key, raw in [(OWNER_KEY, owner), (FUSE_KEY, b"{}"), (b"conv_a", None)]:
        book.note(key, raw)

    stored = book.closed()
    assert (stored.records, stored.conversations, stored.largest_bytes) == (3, 1, 0)
    assert stored.stored_bytes == len(owner) + 2
