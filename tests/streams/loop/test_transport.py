"""The consumer hands every record on once it has room, in order, and commits what is finished."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError
from faust.types import TP

from schemas.errors import Misconfigured
from streams.consumer.account import Account
from streams.consumer.ledger import Ledger
from streams.worker import _measure
from tests.streams.loop.berth import Berth
from tests.streams.loop.fakes import NAMES

PLACE = TP("m", 0)
OTHER = TP("m", 1)


@pytest.fixture
async def berth() -> Berth:
    made = Berth({PLACE: 120})
    await made.assigned()
    return made


async def test_a_record_that_finds_no_room_comes_again_before_those_behind_it(
    berth: Berth,
) -> None:
    berth.room.full = {3: 1, 70: 2}

    await berth.run_until(lambda: 119 in berth.room.offsets)

    assert berth.room.offsets == list(range(120))


async def test_nothing_is_committed_past_a_record_that_finds_no_room(berth: Berth) -> None:
    berth.room.full = {3: 20}

    await berth.run_until(lambda: berth.room.full[3] < 10)
    await berth.room.drain(0)
    await berth.consumer.commit()

    assert berth.log.committed == {PLACE: 3}


async def test_what_was_fetched_before_a_rebalance_is_read_again_and_nothing_is_left_out(
    berth: Berth,
) -> None:
    seeks: list[asyncio.Task[None]] = []

    def rebalance() -> None:
        berth.room.offsets.clear()
        seeks.append(asyncio.create_task(berth.assigned()))

    berth.room.at = {10: rebalance}

    await berth.run_until(lambda: 119 in berth.room.offsets and seeks[0].done())
    again = berth.room.offsets.index(0)

    assert berth.room.offsets[again:] == list(range(120))


async def test_what_was_fetched_of_a_partition_that_came_during_the_seek_can_be_committed(
    berth: Berth, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def slowly(*places: TP) -> dict[TP, int]:
        asked.set()
        await answered.wait()
        return dict.fromkeys(places, 0)

    monkeypatch.setattr(berth.log, "earliest_offsets", slowly)
    seeking = asyncio.create_task(berth.assigned())
    await asked.wait()

    berth.log.lengths[OTHER] = 2
    auditor = berth.consumer.auditor
    auditor.accounts.setdefault(OTHER, Account(0)).told(0, 2, [(0, 2)])  # as a fetch does
    answered.set()
    await seeking
    await berth.assigned()  # what is fetched and not handed on is not fetched again

    for offset in (0, 1):
        auditor.finish(OTHER, offset)
    assert auditor.allowed({OTHER: 2}) == {OTHER: 2}


async def test_nothing_is_handed_on_while_the_flow_is_stopped(berth: Berth) -> None:
    berth.room.at = {10: berth.consumer.stop_flow}

    await berth.run_until(lambda: berth.log.positions[PLACE] == 11)
    assert berth.room.offsets == list(range(11))

    await berth.run_until(lambda: 119 in berth.room.offsets)
    assert berth.room.offsets == list(range(120))


async def test_a_partition_of_which_nothing_was_committed_is_read_from_its_beginning(
    berth: Berth,
) -> None:
    berth.log.positions = {PLACE: 50}  # as a fetch leaves it that outlived a rebalance

    await berth.assigned()
    await berth.run_until(lambda: 119 in berth.room.offsets)

    assert berth.room.offsets == list(range(120))


async def test_only_what_is_finished_without_a_hole_is_committed(berth: Berth) -> None:
    await berth.run_until(lambda: 119 in berth.room.offsets)
    berth.room.settle(*range(40), *range(41, 120))

    await berth.consumer.commit()
    assert berth.log.committed == {PLACE: 40}

    berth.room.settle(40)
    await berth.consumer.commit()
    assert berth.log.committed == {PLACE: 120}


async def test_a_commit_that_would_skip_an_event_is_refused_whatever_the_ledger_says(
    berth: Berth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ledger, "safe", lambda ledger: ledger.next)
    await berth.run_until(lambda: 119 in berth.room.offsets)
    berth.room.settle(*range(40), *range(41, 120))

    assert not await berth.consumer.commit()
    assert not await berth.consumer.prove_membership()
    assert berth.log.committed == {}


async def test_membership_is_proved_though_nothing_came_since_the_start(berth: Berth) -> None:
    berth.log.committed = {PLACE: 120}
    await berth.assigned()

    assert await berth.consumer.prove_membership()
    berth.log.lengths = {}
    assert not await berth.consumer.prove_membership()


async def test_what_runs_is_finished_and_committed_before_partitions_are_given_away(
    berth: Berth, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def revoked(_: set[TP]) -> None:
        berth.log.lengths = {}

    monkeypatch.setattr(berth.consumer, "_on_partitions_revoked", revoked)
    await berth.run_until(lambda: 119 in berth.room.offsets)

    await berth.consumer.on_partitions_revoked({PLACE})

    assert berth.log.committed == {PLACE: 120}
    assert berth.room.taken == []


async def test_nothing_is_read_of_a_partition_whose_fellows_are_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, lonely = {TP("m", 0), TP("t", 0)}, TP("m", 1)
    berth = Berth(dict.fromkeys({*whole, lonely}, 5))

    async def assigned(_: set[TP], __: int) -> None:
        return

    monkeypatch.setattr(berth.consumer, "_on_partitions_assigned", assigned)
    await berth.consumer.on_partitions_assigned({*whole, lonely}, 1)
    await berth.assigned()

    await berth.run_until(lambda: len(berth.room.offsets) >= 10)

    assert berth.log.fetched == whole
    assert {message.tp for message in berth.room.taken} == whole


async def test_only_what_was_settled_or_committed_is_known_to_be_finished(berth: Berth) -> None:
    berth.log.committed = {PLACE: 3}
    await berth.assigned()
    known = [berth.consumer.finished(PLACE, offset) for offset in (2, 3, 4)]
    assert known == [True, False, False]

    await berth.run_until(lambda: 119 in berth.room.offsets)
    berth.room.settle(3)

    known = [berth.consumer.finished(PLACE, offset) for offset in (2, 3, 4, 500)]
    assert known == [True, True, False, False]
    assert not berth.consumer.finished(OTHER, 0)


@pytest.mark.parametrize("unanswered", [0, 3])
async def test_a_log_that_ends_before_what_was_read_of_it_ends_the_worker(
    berth: Berth, monkeypatch: pytest.MonkeyPatch, unanswered: int
) -> None:
    """Also when its broker, which is being restored, does not tell at once where it ends."""
    asks, told = [KafkaConnectionError()] * unanswered, berth.log.highwaters

    async def highwaters(*places: TP) -> dict[TP, int]:
        if asks:
            raise asks.pop()
        return await told(*places)

    monkeypatch.setattr(berth.log, "highwaters", highwaters)
    crashes: list[BaseException] = []

    async def crash(exc: BaseException) -> None:
        crashes.append(exc)

    monkeypatch.setattr(berth.app, "crash", crash)

    berth.consumer._moved(PLACE, 500, 0)  # the broker has no offset 500, so the client went to 0
    assert berth.consumer.checking is not None
    await berth.consumer.checking
    assert berth.consumer.crashing is not None
    await berth.consumer.crashing

    (crashed,) = crashes
    assert isinstance(crashed, Misconfigured)
    assert "ends at 120, and was read up to 500" in str(crashed)


async def test_a_late_answer_about_a_partition_of_another_worker_changes_nothing(
    berth: Berth,
) -> None:
    """The broker takes no commit that names it, and aiokafka does not say where its log ends."""
    berth.app.partitions = 4
    await berth.run_until(lambda: 119 in berth.room.offsets)
    berth.room.settle(*range(120))

    berth.consumer._moved(OTHER, 3, 5)

    _measure(berth.engine)
    assert await berth.consumer.commit()
    assert berth.log.committed == {PLACE: 120}


async def test_topics_that_grow_end_a_worker_whose_group_does_not_notice(berth: Berth) -> None:
    berth.app.partitions = 4
    _measure(berth.engine)

    berth.log.partitions = 8

    with pytest.raises(Misconfigured, match="had 4 partitions and now have 8"):
        _measure(berth.engine)


async def test_a_partition_is_behind_until_all_that_was_there_at_first_was_handed_on(
    berth: Berth,
) -> None:
    berth.room.full = {70: 1000}
    await berth.assigned()

    await berth.run_until(lambda: 69 in berth.room.offsets)
    assert berth.consumer.behind([OTHER, PLACE])

    berth.log.lengths[PLACE] = 150  # what comes later is no part of it
    berth.room.full = {120: 10**9}
    await berth.run_until(lambda: 119 in berth.room.offsets)
    assert not berth.consumer.behind([OTHER, PLACE])


@pytest.mark.parametrize("committed", [120, 119])
async def test_a_partition_with_nothing_more_to_read_is_not_behind(
    berth: Berth, committed: int
) -> None:
    berth.log.committed = {PLACE: committed}
    await berth.assigned()
    if committed < 120:  # retention has deleted it
        berth.consumer._moved(PLACE, committed, 120)

    assert not berth.consumer.behind([PLACE])


async def test_the_timers_of_a_stage_know_whether_its_partition_is_behind() -> None:
    berth = Berth({TP(NAMES.inbox.name, 1): 120})
    await berth.assigned()
    (timers,) = [
        part.timers
        for part in berth.engine.running.values()
        if NAMES.inbox.name in {topic.name for topic in part.stage.inputs}
    ]
    assert [timers.behind(partition) for partition in range(3)] == [False, True, False]

    await berth.run_until(lambda: 119 in berth.room.offsets)
    assert not timers.behind(1)


@pytest.mark.parametrize("held", [(), (PLACE,)], ids=["it fetches", "it has nothing to fetch"])
async def test_a_worker_whose_place_in_the_group_nobody_keeps_any_more_ends(
    berth: Berth, monkeypatch: pytest.MonkeyPatch, held: tuple[TP, ...]
) -> None:
    """To fetch needs no place: it would go on with what another worker has by now."""
    berth.room.held = held
    monkeypatch.setattr(berth.log, "check", Mock(side_effect=KafkaError))

    with pytest.raises(KafkaError):
        await berth.run_until(lambda: bool(berth.room.offsets))
