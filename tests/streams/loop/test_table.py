from __future__ import annotations

import pytest
from faust.types import TP
from msgspec.structs import replace

from streams.state.belief import believe
from streams.state.controls import OWNER_KEY, Owner
from streams.state.records import Early, Entry, Head
from streams.state.table import Logs
from tests.streams.loop.fakes import FakePublisher, FakeTable

KEY = b"conv_1"


def entry(messages: int, timers: int, epoch: int) -> Entry:
    return Entry(b"{}", {"m": messages, "t": timers}, epoch=epoch)


def test_a_zombie_over_two_topics_loses_to_the_newer_owner() -> None:
    table = FakeTable()
    newer, zombie = entry(11, 4, epoch=2).dumps(), entry(9, 5, epoch=1).dumps()

    table.apply([(KEY, newer, 0), (KEY, zombie, 0)])

    assert table.raw(KEY) == newer
    assert table.overridden == {KEY: 0}


def test_the_newer_owner_wins_also_when_it_writes_last() -> None:
    table = FakeTable()
    newer, zombie = entry(11, 4, epoch=2).dumps(), entry(9, 5, epoch=1).dumps()

    table.apply([(KEY, zombie, 0), (KEY, newer, 0)])

    assert table.raw(KEY) == newer
    assert table.overridden == {}


def test_within_one_epoch_the_log_decides() -> None:
    table = FakeTable()
    first, second = entry(1, 1, epoch=1).dumps(), entry(0, 0, epoch=1).dumps()

    table.apply([(KEY, first, 0), (KEY, second, 0)])

    assert table.raw(KEY) == second


def test_a_zombies_write_to_an_unknown_conversation_is_kept() -> None:
    table = FakeTable()
    zombie = entry(9, 5, epoch=1).dumps()

    table.apply([(OWNER_KEY, Owner(epoch=2).dumps(), 0), (KEY, zombie, 0)])

    assert table.raw(KEY) == zombie


def test_tombstones_and_foreign_bytes_never_crash_recovery() -> None:
    table = FakeTable()
    known = entry(1, 1, epoch=1).dumps()

    table.apply(
        [
            (KEY, known, 0),
            (b"other", None, 0),
            (None, b"x", 0),
            (KEY, b"\xff\xfe not ours", 0),
            (OWNER_KEY, None, 0),
            (OWNER_KEY, b"{", 0),
        ]
    )
    assert table.raw(KEY) == known

    table.apply([(KEY, None, 0)])
    assert table.raw(KEY) is None


def test_recovery_learns_how_far_the_inputs_were_applied_and_what_is_due() -> None:
    table = FakeTable()
    armed: list[tuple[bytes, int, int | None, int, Early]] = []
    table.armed = lambda *told: armed.append(told)

    early = (("burst", 99, 97),)
    value = Entry(b"{}", {"m": 7}, due_ms=99, at_ms=98, early=early)

    table.apply([(KEY, value.dumps(), 3)])

    assert table.ends == {TP("m", 3): 7}
    assert armed == [(KEY, 3, 99, 98, early)]


VALUE = entry(11, 4, epoch=2)
NEWER = entry(12, 4, epoch=2)
RESTS = replace(VALUE, state=b"", away=7)
TOLD: dict[str, tuple[Entry | None, ...]] = {
    "a value leaves": (VALUE, RESTS),
    "a value comes back": (VALUE, RESTS, NEWER),
    "its leaving was late on the wire": (VALUE, NEWER, RESTS),
    "a zombie lets an older value leave": (VALUE, replace(RESTS, epoch=1)),
    "a zombie writes over what rests": (VALUE, RESTS, replace(NEWER, epoch=1)),
    "a new owner lets an older value leave": (NEWER, replace(RESTS, epoch=3)),
    "it is forgotten": (VALUE, None),
    "it is forgotten, and a zombie writes": (VALUE, None, replace(NEWER, epoch=1)),
}


@pytest.mark.parametrize("told", TOLD)
def test_commands_believe_what_recovery_believes(told: str) -> None:
    table, heads = FakeTable(), dict[str, Head]()
    raws = [None if each is None else each.dumps() for each in TOLD[told]]

    table.apply([(KEY, raw, 0) for raw in raws])
    for raw in raws:
        believe(heads, "it", raw)

    here = table.raw(KEY)
    assert (here and Head.of(here)) == (heads.get("it") if here else None)
    assert table.absent.mark(KEY, 0) == (heads["it"].away if heads and not here else None)


async def test_a_new_owner_is_above_every_epoch_it_found() -> None:
    table, publisher = FakeTable(), FakePublisher()
    table.apply([(OWNER_KEY, Owner(epoch=4).dumps(), 2), (KEY, entry(1, 1, epoch=6).dumps(), 2)])

    assert await table.own(2, Logs({"m": "id"}, 4), publisher) == 7

    (record, partition), *_ = publisher.posted
    assert (record.key, partition) == (OWNER_KEY, 2)
    assert Owner.loads(record.value or b"") == Owner(epoch=7, topics={"m": "id"}, partitions=4)
