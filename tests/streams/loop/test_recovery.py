"""A worker takes partitions over: what it believes of a changelog, and what it refuses first."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError
from faust.tables.recovery import RebalanceAgain
from faust.types import TP

from schemas.changing import replace
from schemas.errors import Misconfigured, PipelineError, Unavailable
from schemas.events import Event
from streams.state import recovery
from streams.state.proof import Proof
from streams.state.recovery import SafeRecovery
from streams.state.table import AckedTable, Row
from tests.streams.loop.fakes import NAMES, Rig
from tests.streams.loop.toy import Toys, received

KEY = b"conv_0"
INBOX, ANSWERED = NAMES.inbox.name, NAMES.answered.name
IDS = {INBOX: "first", ANSWERED: "second"}
ENDS = {TP(INBOX, 0): 100, TP(ANSWERED, 0): 100}


class Around:
    """What recovery asks of the engine and the app of a worker."""

    def __init__(self, worker: Rig, *, grown: bool = False) -> None:
        self.publisher = worker.publisher
        self.grown = grown

    def check_growth(self) -> None:
        if self.grown:
            raise Misconfigured("had 4 partitions and now have 8")

    def keep(self, _: AckedTable, __: set[int]) -> None:
        """Forget no timer."""

    def inputs(self, _: AckedTable) -> list[str]:
        return [INBOX, ANSWERED]


async def take_over(worker: Rig, *, grown: bool = False, **other: Any) -> dict[TP, Proof]:
    """Own partition 0; returns what its inputs must hold."""

    async def highwaters(*_: TP) -> dict[TP, int]:
        ends: dict[TP, int] = other.get("ends", ENDS)
        return ends

    app = SimpleNamespace(
        engine=Around(worker, grown=grown),
        topic_ids=other.get("ids", IDS),
        partitions=other.get("partitions", 4),
        consumer=SimpleNamespace(highwaters=highwaters),
        proofs={},
    )
    recovery = object.__new__(SafeRecovery)  # what is looked at needs no app of Faust
    places = {worker.table: other.get("places", {TP("changelog", 0)})}
    vars(recovery).update(app=app, tables={"unit": worker.table}, actives_for_table=places)
    await recovery._take_over()
    return dict(app.proofs)


def changelog(worker: Rig) -> list[Row]:
    """Return what a worker wrote to the changelog."""
    return [(record.key, record.value, 0) for record in worker.publisher.on("changelog")]


async def recovered(log: list[Row]) -> Rig:
    """Return a worker that has recovered a changelog and taken its partition over."""
    worker = Rig(Toys(NAMES).talk)
    worker.table.apply(log)
    await take_over(worker)
    return worker


def answered(number: int) -> Event:
    return replace(received(NAMES, 0, number), event=ANSWERED)


async def test_what_a_zombie_writes_over_two_topics_is_never_believed() -> None:
    """Neither {m9, t5} nor {m11, t4} is the later one; whose owner is the newer one is."""
    zombie = await recovered([])
    await zombie.feed(zombie.message(received(NAMES, 0, 8), 8), zombie.message(answered(3), 3))
    before = changelog(zombie)
    owner = await recovered(before)
    await owner.feed(owner.message(received(NAMES, 0, 11), 11), owner.message(answered(4), 4))
    # It was frozen between its last check and its write.
    await zombie.feed(zombie.message(received(NAMES, 0, 9), 9), zombie.message(answered(5), 5))
    late = changelog(zombie)[len(before) :]

    successor = await recovered([*before, *changelog(owner), *late])
    compacted = {row[0]: row for row in [*late, *changelog(successor)]}
    last = await recovered(list(compacted.values()))

    for worker in (successor, last):
        entry = worker.table.entry(KEY)
        assert entry.applied == {INBOX: 11, ANSWERED: 4}
        assert entry.state == owner.table.entry(KEY).state


async def test_a_table_knows_the_record_that_its_log_must_have() -> None:
    first = await recovered([])
    await first.feed(first.message(received(NAMES, 0, 0), 7))
    second = Rig(Toys(NAMES).talk)
    second.table.apply(changelog(first))

    proofs = await take_over(second)

    assert proofs == {TP(INBOX, 0): Proof(7, first.table.entry(KEY).marks[0])}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a topic was created anew": ({"ids": {**IDS, INBOX: "another"}}, "was created anew"),
    "topics have grown since the table was made": ({"partitions": 8}, "had 4 partitions"),
    "topics grow while the worker runs": ({"grown": True}, "had 4 partitions and now have 8"),
    "a log ends before what was applied": (
        {"ends": {**ENDS, TP(INBOX, 0): 7}},
        "ends at 7, but 7 was applied",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_a_partition_that_belongs_to_other_logs_is_refused_before_it_is_written_to(
    what: str,
) -> None:
    given, why = REFUSED[what]
    first = await recovered([])
    await first.feed(first.message(received(NAMES, 0, 0), 7))
    second = Rig(Toys(NAMES).talk)
    second.table.apply(changelog(first))

    with pytest.raises(Misconfigured, match=why):
        await take_over(second, **given)

    assert second.publisher.posted == []


async def test_a_table_is_read_to_its_end_however_long_that_takes() -> None:
    recovery: Any = SafeRecovery(
        SimpleNamespace(conf=SimpleNamespace(stream_recovery_delay=0)),  # type: ignore[arg-type] # all that is looked at
        {},  # type: ignore[arg-type] # ditto
    )
    read: list[str] = []

    async def load() -> None:
        await asyncio.sleep(0.05)
        read.append("all of it")

    await recovery._wait(load(), timeout=0.01)  # as Faust does, with the limit of one request

    assert read == ["all of it"]


async def test_a_rebalance_ends_the_reading_of_a_table() -> None:
    recovery: Any = SafeRecovery(
        SimpleNamespace(conf=SimpleNamespace(stream_recovery_delay=0)),  # type: ignore[arg-type] # see above
        {},  # type: ignore[arg-type] # ditto
    )
    asyncio.get_running_loop().call_later(0.01, recovery.signal_recovery_start.set)

    with pytest.raises(RebalanceAgain):
        await recovery._wait(asyncio.sleep(60), timeout=0.01)


@dataclass
class Read:
    """What librdkafka hands out: a record, or word that the end was reached."""

    at: int
    key: bytes = KEY
    value: bytes = b""
    end: bool = False
    code: int | None = None

    def topic(self) -> str:
        return "changelog"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self.at

    def error(self) -> KafkaError | None:
        code = KafkaError._PARTITION_EOF if self.end else self.code
        return None if code is None else KafkaError(code)


@pytest.mark.parametrize(
    ("batch", "complete"),
    [
        ([Read(7, end=True)], False),
        ([Read(10, end=True)], True),
        ([Read(7, end=True), Read(10, end=True)], True),
    ],
    ids=["a broker that leads since just now knows less", "the end", "by and by"],
)
def test_a_changelog_is_read_up_to_where_it_ended_and_not_to_where_a_new_leader_says(
    batch: list[Read], complete: bool
) -> None:
    place = TP("changelog", 0)
    recovery: Any = object.__new__(SafeRecovery)
    app = SimpleNamespace(progress=0)
    vars(recovery).update(app=app, active_highwaters={place: 9}, tp_to_table={})
    left = {place}

    recovery._apply(batch, left, {place: -1})

    assert left == (set() if complete else {place})


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (KafkaError._BAD_MSG, r"changelog\[0\]@7 is broken"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, "kafka is not available"),
    ],
)
def test_a_changelog_that_cannot_be_read_ends_the_worker_and_is_named(code: int, why: str) -> None:
    recovery: Any = object.__new__(SafeRecovery)
    vars(recovery).update(app=SimpleNamespace(progress=0), active_highwaters={}, tp_to_table={})

    with pytest.raises(PipelineError, match=why):
        recovery._apply([Read(7, code=code)], {TP("changelog", 0)}, {})


async def test_a_takeover_is_tried_again_when_nothing_of_the_last_try_is_at_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = Rig(Toys(NAMES).talk)
    began: list[int] = []
    at_work: list[int] = []

    async def own(partition: int, *_: object) -> int:
        began.append(partition)
        if len(began) == 1:
            raise Unavailable("kafka")
        assert partition not in at_work
        at_work.append(partition)
        await asyncio.sleep(0.01)
        at_work.remove(partition)
        return 1

    monkeypatch.setattr(worker.table, "own", own)
    monkeypatch.setattr(recovery, "RETRY_S", 0.0)
    await take_over(worker, places={TP("changelog", 0), TP("changelog", 1)})

    assert (sorted(began), at_work) == ([0, 0, 1, 1], [])
