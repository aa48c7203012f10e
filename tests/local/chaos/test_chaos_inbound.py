from __future__ import annotations

from typing import Any

import msgspec
import pytest

from streams.local.chaos.catalogue import FAULTS
from streams.local.chaos.inbound import WISHES, seen
from streams.local.simulator.script import Kind, Wish


def act(kind: str, **detail: int | str) -> dict[str, Any]:
    return {"number": 1, "kind": kind, "at_ms": 1, "ids": ["w1"], "detail": detail}


def test_the_simulator_reads_what_is_wished_for() -> None:
    kinds = [msgspec.convert(wish, Wish).kind for wish in WISHES]

    assert kinds == [Kind.REDELIVER, Kind.BATCH, Kind.REORDER, Kind.ODD]


def test_only_what_had_an_effect_is_counted() -> None:
    found = seen(
        (
            act("redeliver", copies=2, taken=2),
            act("redeliver", copies=2, taken=1),
            act("batch", messages=4, statuses=0, status=200),
            act("batch", messages=1, statuses=3, status=200),
            act("reorder", overtaken_by=3),
            act("reorder", overtaken_by=0),
            act("odd", shape="no_profile"),
            act("cut"),
        )
    )

    assert found == {"again": 3, "batched": 4, "overtaken": 1, "odd": 1}


@pytest.mark.parametrize("lacking", ["again", "batched", "overtaken", "odd"])
def test_a_run_in_which_one_of_them_did_not_happen_proves_nothing(lacking: str) -> None:
    everything = dict.fromkeys(("again", "batched", "overtaken", "odd"), 9)

    assert FAULTS["W2"].proof(everything) is None
    assert lacking in (FAULTS["W2"].proof(everything | {lacking: 0}) or "")
