"""What a sink writes beside its commits, and how a log is proved by it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from schemas.errors import Unavailable
from streams.consumer import vouching
from streams.consumer.vouching import Voucher, disproved
from streams.state.proof import Proof
from streams.state.records import checksum_of
from tests.streams.loop.fakes import FakeMessage

PLACE = TopicPartition("orders", 3)
THE_ONE = Proof(7, checksum_of(b"v7"))


class Log:
    """A consumer of one partition, at a broker that has these offsets."""

    def __init__(self, offsets: Iterable[int], *, end: int, begin: int = 0) -> None:
        self.offsets = list(offsets)
        self.begin, self.end = begin, end
        self.at = 0
        self.up = True
        self.stopped = False
        self.assigned: list[list[TopicPartition]] = []

    async def start(self) -> None:
        if not self.up:
            raise KafkaConnectionError

    async def stop(self) -> None:
        self.stopped = True

    def assign(self, places: list[TopicPartition]) -> None:
        self.assigned.append(places)

    def assignment(self) -> set[TopicPartition]:
        return {place for places in self.assigned for place in places}

    def seek(self, _: TopicPartition, offset: int) -> None:
        self.at = offset

    async def beginning_offsets(self, _: object) -> dict[TopicPartition, int]:
        return {PLACE: self.begin}

    async def end_offsets(self, _: object) -> dict[TopicPartition, int]:
        return {PLACE: self.end}

    async def getmany(self, *_: TopicPartition, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        assert timeout_ms
        found = [
            FakeMessage(PLACE.topic, n, b"k", b"v%d" % n) for n in self.offsets if n >= self.at
        ]
        self.at = self.end
        return {PLACE: found} if found else {}

    async def position(self, _: TopicPartition) -> int:
        return self.at


async def judged(monkeypatch: pytest.MonkeyPatch, log: Log, proof: Proof = THE_ONE) -> bool:
    monkeypatch.setattr(vouching, "AIOKafkaConsumer", lambda **_: log)
    wrong = await disproved("broker:9092", {PLACE: proof})
    assert log.stopped
    return wrong == {PLACE}


@pytest.mark.parametrize(
    ("log", "proof", "wrong"),
    [
        (Log(range(10), end=10), THE_ONE, False),
        (Log(range(10), end=10), Proof(7, checksum_of(b"another")), True),
        (Log(range(8, 10), end=10, begin=8), Proof(7, 1), False),  # deleted by retention
        (Log([5, 9], end=10), Proof(7, 1), False),  # compacted away
        (Log([5], end=10), Proof(7, 1), False),  # and all after it
        (Log(range(5), end=5), Proof(7, 1), False),  # shorter: read from its beginning
    ],
    ids=["same", "other", "deleted", "compacted", "emptied", "shorter"],
)
async def test_only_another_record_at_the_place_disproves_a_log(
    monkeypatch: pytest.MonkeyPatch, log: Log, proof: Proof, wrong: bool
) -> None:
    assert await judged(monkeypatch, log, proof) is wrong
    assert log.assigned in ([[PLACE]], [[]]), "what is not to be read is not fetched either"


async def test_without_a_proof_nobody_is_asked() -> None:
    assert await disproved("127.0.0.1:1", {}) == set()


async def test_a_broker_that_does_not_answer_proves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = Log([], end=10)
    log.up = False

    with pytest.raises(Unavailable):
        await judged(monkeypatch, log)

    assert log.stopped


@pytest.mark.parametrize("given_up", [0, 24])
@pytest.mark.parametrize("proof", [None, THE_ONE])
def test_a_voucher_is_read_as_it_was_written(given_up: int, proof: Proof | None) -> None:
    voucher = Voucher(given_up=given_up, proof=proof)

    assert Voucher.of(str(voucher)) == voucher


@pytest.mark.parametrize(
    ("metadata", "given_up"), [("", 0), ("audited", 0), ("audited;given_up=3", 3), ("theirs", 0)]
)
def test_what_an_older_release_wrote_is_read_too(metadata: str, given_up: int) -> None:
    assert Voucher.of(metadata) == Voucher(given_up=given_up)
