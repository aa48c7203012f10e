"""How late a partition is: work on its way is not lateness, however much of it there is."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from faust.types import TP
from prometheus_client import REGISTRY

from streams.consumer.lags import Lags
from streams.consumer.ledger import Ledger

LABELS = {"stream": "toy.said", "partition": "3", "consumer_group": "toy"}


class Worker:
    """One partition, of which a record comes each second, and each takes five to finish."""

    def __init__(self) -> None:
        self.place = TP("toy.said", 3)
        self.ledger = Ledger(0)
        self.now_s = 100.0
        self.end = 0
        self.hangs = False
        self.lags = Lags("toy", now_s=lambda: self.now_s)

    def works(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now_s += 1
            self.ledger.deliver(SimpleNamespace(offset=self.end))
            self.end += 1
            old = self.ledger.live.get(self.end - 5)
            if old is not None and not self.hangs:
                self.ledger.finish(old)
            self.lags.tell({self.place: self.ledger}, lambda _: self.end)


def told(name: str) -> float | None:
    return REGISTRY.get_sample_value(name, LABELS)


@pytest.fixture
def worker() -> Worker:
    return Worker()


def test_a_partition_that_always_has_work_on_its_way_is_not_behind(worker: Worker) -> None:
    worker.works(1000)

    assert told("consumer_lag_records") == 4
    assert (told("consumer_behind_seconds") or 0) <= 5


def test_a_record_that_is_never_finished_is_counted_from_when_it_was_known(worker: Worker) -> None:
    worker.works(10)
    worker.hangs = True
    worker.works(900)

    assert 895 <= (told("consumer_behind_seconds") or 0) <= 905


def test_what_is_caught_up_with_is_behind_no_more(worker: Worker) -> None:
    worker.hangs = True
    worker.works(100)
    for message in list(worker.ledger.live.values()):
        worker.ledger.finish(message)
    worker.lags.tell({worker.place: worker.ledger}, lambda _: worker.end)

    assert (told("consumer_lag_records"), told("consumer_behind_seconds")) == (0, 0)


def test_a_partition_that_went_to_another_member_is_told_by_that_one(worker: Worker) -> None:
    worker.works(10)
    worker.lags.tell({}, lambda _: None)

    assert (told("consumer_lag_records"), told("consumer_behind_seconds")) == (None, None)
