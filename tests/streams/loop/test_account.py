"""The auditor's account: what a commit would skip, whatever the ledger says."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import OffsetAndMetadata
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from streams.consumer import account as account_module
from streams.consumer.account import FOLD, Account, Range, Ranges, count
from streams.consumer.auditor import VOUCHER, Auditor
from streams.consumer.batches import offsets
from streams.metrics import LOST, SKIPPED_OFFSETS

PLACE = TP("t", 0)
Moves = list[tuple[TP, int, int]]


def batch(base: int, kept: list[int], last: int | None = None, *, control: bool = False) -> bytes:
    """A batch of a log as a broker answers it; ``kept`` are what compaction left of it."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 1 << 20)
    for offset in kept:
        builder.append(offset - base, timestamp=1, key=b"k", value=b"v", headers=[])
    raw = bytearray(builder.build())
    struct.pack_into(">q", raw, 0, base)
    struct.pack_into(">i", raw, 23, (kept[-1] if last is None else last) - base)
    if control:
        struct.pack_into(">h", raw, 21, 0x20)
    return bytes(raw)


def dense(base: int, records: int) -> bytes:
    return batch(base, list(range(base, base + records)))


def answer(auditor: Auditor, asked: int, raw: bytes | None, error: int = 0) -> None:
    request: Any = SimpleNamespace(topics=[("t", [(0, asked, 1 << 20)])])
    auditor.asked(request)
    auditor.answered(request, SimpleNamespace(topics=[("t", [(0, error, 99, -1, [], raw)])]))


def lost() -> float:
    return float(LOST.labels("t", "group")._value.get())


@pytest.fixture
def moves() -> Moves:
    return []


@pytest.fixture
def auditor(moves: Moves) -> Auditor:
    found = Auditor("group", lambda *move: moves.append(move))
    found.open({PLACE: 10})
    return found


def test_what_was_never_skipped_or_lost_is_told_as_0() -> None:
    """Prometheus sees that a series grows, not that it begins."""
    Auditor("new", lambda *_: None).open({PLACE: 10})

    told = [
        (sample.labels["stream"], sample.value)
        for counted in (SKIPPED_OFFSETS, LOST)
        for family in counted.collect()
        for sample in family.samples
        if sample.labels["consumer_group"] == "new"
    ]
    assert told == [("t", 0), ("t", 0)]


def test_the_headers_of_batches_tell_which_offsets_hold_a_record() -> None:
    raw = (
        dense(10, 3)
        + batch(13, [13], control=True)
        + batch(14, [14, 17], last=18)
        + dense(19, 1)[:-1]  # cut by the size limit of the fetch
    )

    assert list(offsets(raw)) == [
        ((10, 13), [(10, 13)]),
        ((13, 14), []),
        ((14, 19), [(14, 15), (17, 18)]),
    ]


def test_a_committed_offset_that_nobody_audited_is_told(auditor: Auditor) -> None:
    found = {
        PLACE: OffsetAndMetadata(7, ""),
        TP("t", 1): OffsetAndMetadata(7, VOUCHER),
        TP("t", 2): OffsetAndMetadata(0, ""),  # nothing is passed by it
    }

    with structlog.testing.capture_logs() as logs:
        auditor.warn_unvouched(found)

    assert [(line["event"], line["topic"], line["partition"]) for line in logs] == [
        ("audit.unvouched", "t", 0)
    ]


def test_a_commit_that_everything_is_finished_for_is_allowed(auditor: Auditor) -> None:
    answer(auditor, 10, dense(8, 5))  # the batch began before the offset that was asked for
    for offset in (10, 11, 12):
        auditor.finish(PLACE, offset)

    assert auditor.allowed({PLACE: 13}) == {PLACE: 13}


def test_a_commit_past_a_hole_is_refused_and_counted(auditor: Auditor) -> None:
    answer(auditor, 10, dense(10, 4))
    for offset in (10, 12, 13):
        auditor.finish(PLACE, offset)

    assert auditor.allowed({PLACE: 14}) == {}
    assert auditor.allowed({PLACE: 11}) == {PLACE: 11}
    assert auditor.accounts[PLACE].missing(14) == [(11, 12)]


def test_a_commit_past_records_that_were_never_fetched_is_refused(auditor: Auditor) -> None:
    answer(auditor, 10, dense(10, 2))
    answer(auditor, 15, dense(15, 2))
    for offset in (10, 11, 15, 16):
        auditor.finish(PLACE, offset)

    assert auditor.accounts[PLACE].missing(17) == [(12, 15)]


def test_control_records_and_compacted_ones_need_not_be_finished(auditor: Auditor) -> None:
    answer(auditor, 10, dense(10, 1) + batch(11, [11], control=True) + batch(15, [15], last=17))
    auditor.finish(PLACE, 10)
    auditor.finish(PLACE, 15)

    assert auditor.accounts[PLACE].missing(18) == []


def test_a_partition_without_an_account_is_not_committed(auditor: Auditor) -> None:
    assert auditor.allowed({TP("t", 1): 5}) == {}


def test_what_was_committed_is_forgotten(auditor: Auditor) -> None:
    answer(auditor, 10, dense(10, 4))
    for offset in range(10, 14):
        auditor.finish(PLACE, offset)

    auditor.committed({PLACE: 13})

    account = auditor.accounts[PLACE]
    assert (account.since, account.finished, account.present.ranges) == (13, {13}, [(13, 14)])


def test_an_answer_that_came_before_the_seek_counts(auditor: Auditor) -> None:
    auditor.accounts.clear()
    answer(auditor, 10, dense(10, 4))

    auditor.open({PLACE: 12})
    auditor.finish(PLACE, 12)

    assert auditor.accounts[PLACE].missing(13) == []
    assert auditor.accounts[PLACE].missing(14) == [(13, 14)]


def test_after_a_seek_back_everything_must_be_finished_again(auditor: Auditor) -> None:
    answer(auditor, 10, dense(10, 2))
    auditor.finish(PLACE, 10)

    auditor.open({PLACE: 10})

    assert auditor.accounts[PLACE].missing(12) == [(10, 12)]


def test_offsets_that_retention_took_are_told_and_then_no_hole(
    auditor: Auditor, moves: Moves
) -> None:
    answer(auditor, 10, None, error=1)
    answer(auditor, 25, dense(25, 1))
    auditor.finish(PLACE, 25)

    assert moves == [(PLACE, 10, 25)]
    assert auditor.accounts[PLACE].missing(26) == []


def test_a_loss_that_is_met_again_after_a_seek_is_told_once(auditor: Auditor, moves: Moves) -> None:
    before = lost()
    for _ in range(2):
        auditor.open({PLACE: 10})
        answer(auditor, 10, None, error=1)
        answer(auditor, 25, dense(25, 1))

    assert lost() - before == 15
    assert moves == [(PLACE, 10, 25)] * 2


def test_a_log_that_ends_before_what_was_read_of_it_is_told(auditor: Auditor, moves: Moves) -> None:
    answer(auditor, 10, None, error=1)
    answer(auditor, 0, dense(0, 3))

    assert moves == [(PLACE, 10, 0)]


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 8)), max_size=20))
def test_ranges_are_the_set_of_their_offsets(added: list[tuple[int, int]]) -> None:
    ranges, wanted = Ranges(), set[int]()
    for begin, length in added:
        ranges.add(begin, begin + length)
        wanted |= set(range(begin, begin + length))

    assert {at for begin, end in ranges.ranges for at in range(begin, end)} == wanted
    assert all(a[1] < b[0] for a, b in zip(ranges.ranges, ranges.ranges[1:], strict=False))
    inside = set(_each(ranges.within(5, 40)))
    assert inside == wanted & set(range(5, 40))
    assert set(_each(ranges.without(5, 40))) == set(range(5, 40)) - wanted


@given(
    absent=st.sets(st.integers(0, 39)),
    finished=st.lists(st.integers(0, 39), unique=True),
    since=st.integers(0, 39),
    upto=st.integers(0, 40),
    fold=st.integers(0, 12),
    closed=st.integers(0, 40),
)
def test_exactly_the_unfinished_events_are_missing(
    absent: set[int], finished: list[int], since: int, upto: int, fold: int, closed: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(account_module, "FOLD", fold)
        account = Account(since)
        account.told(0, 40, [(at, at + 1) for at in range(40) if at not in absent])
        for offset in finished:
            account.finish(offset)

        missing = account.missing(upto)
        account.close(closed)

        rest = set(range(since, 40)) - absent - set(finished)
        assert set(_each(missing)) == {at for at in rest if at < upto}
        assert count(missing) == len(set(_each(missing)))
        assert set(_each(account.missing(40))) == {at for at in rest if at >= closed}


def test_what_is_finished_behind_an_event_that_waits_takes_no_room() -> None:
    account = Account(0)
    account.told(0, 500_000, [(0, 500_000)])

    for offset in range(1, 500_000):
        account.finish(offset)

    assert len(account.finished) <= FOLD
    assert len(account.folded.ranges) == 1
    assert account.missing(500_000) == [(0, 1)]


def _each(ranges: Any) -> list[int]:
    found: list[Range] = list(ranges)
    return [at for begin, end in found for at in range(begin, end)]
