from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from schemas.changing import replace
from schemas.errors import Misconfigured
from schemas.events import Command, OutcomeKind
from streams.local.chaos.acts import ACTS
from streams.local.chaos.catalogue import FAULTS, Setting, is_further, ours
from streams.local.chaos.command import Shape
from streams.local.chaos.proof import at_least, replaced
from streams.local.chaos.runs import LAYOUTS, MIXED, SEEDS, all_runs, short_runs
from streams.local.chaos.schedule import schedule
from streams.local.chaos.workload import Ask, Crowd, Write, phone_prefix, workload
from streams.local.load.plan import Sort
from streams.local.stack import StackOptions
from streams.local.stack.own import names

CROWD = Crowd(run="abc", seed=7, conversations=40, messages=600, rate=20.0)
TWO = Setting(parts=("api", "webhook", "worker", "worker-2"), brokers=3)
SPLIT = Setting(
    parts=("api", "webhook", "worker-ai", "worker-memory", "worker-outbound"), brokers=1
)


def writes(crowd: Crowd) -> list[Write]:
    return [act for acts in workload(crowd) for act in acts if isinstance(act, Write)]


def test_the_same_seed_gives_the_same_workload_and_another_one_another() -> None:
    assert workload(CROWD) == workload(CROWD)
    assert workload(CROWD) != workload(replace(CROWD, seed=8))


def test_ids_are_unique_and_numbers_grow_in_each_conversation() -> None:
    every = [act.message for act in writes(CROWD)]
    first = [message for message in every if message.sort is not Sort.DUPLICATE]
    by_customer: dict[str, list[int]] = {}
    for message in first:
        by_customer.setdefault(message.customer, []).append(message.sequence)

    assert len(every) == 600
    assert len({message.wamid for message in first}) == len(first)
    assert all(a < b for numbers in by_customer.values() for a, b in pairwise(numbers))
    assert {message.wamid for message in every} == {message.wamid for message in first}


def test_there_are_bursts_tools_people_and_reactions() -> None:
    acts = [act for each in workload(CROWD) for act in each]
    sorts = {act.message.sort for act in acts if isinstance(act, Write)}
    asked = {act.command for act in acts if isinstance(act, Ask)}
    gaps = [b.due_s - a.due_s for each in workload(CROWD) for a, b in pairwise(each)]

    assert sorts == {*Sort}
    assert asked == {Command.TAKEOVER, Command.RELEASE, None}
    assert any(gap < 1 for gap in gaps)
    assert any(gap > 5 for gap in gaps)
    assert all(gap >= 0 for gap in gaps)


def test_a_message_with_people_in_its_conversation_is_not_the_ais_alone() -> None:
    asked = {act.customer for acts in workload(CROWD) for act in acts if isinstance(act, Ask)}

    assert asked
    assert not any(act.alone for act in writes(CROWD) if act.message.customer in asked)
    assert any(act.alone for act in writes(CROWD))


def test_nobody_takes_over_before_the_customer_wrote() -> None:
    assert all(isinstance(acts[0], Write) for acts in workload(CROWD))


def test_a_hot_customer_writes_the_given_share() -> None:
    hot = replace(CROWD, hot=0.5)
    counts = [len([a for a in acts if isinstance(a, Write)]) for acts in workload(hot)]

    assert counts[0] > 300
    first = [a for a in workload(hot)[0] if isinstance(a, Write)]
    assert all(OutcomeKind.PARKED in act.message.expects and not act.alone for act in first)
    assert sum(counts) == 600


def test_texts_hold_the_marker_and_numbers_the_prefix_that_is_searched_for() -> None:
    for act in writes(CROWD):
        assert act.message.customer.startswith(phone_prefix(CROWD))
        assert not act.message.text or CROWD.marker in act.message.text
        assert phone_prefix(CROWD) not in act.message.wamid
        assert OutcomeKind.PARKED not in act.message.expects


def test_the_same_seed_gives_the_same_schedule_in_order_of_time() -> None:
    faults = ("F1", "F3", "F8")
    planned = schedule(3, faults, TWO)

    assert planned == schedule(3, faults, TWO)
    assert planned != schedule(4, faults, TWO)
    assert [each.share for each in planned] == sorted(each.share for each in planned)
    assert {each.fault for each in planned} == set(faults)
    assert all(0 < each.share < 1 for each in planned)


def test_only_our_own_processes_are_killed_and_each_of_them_is() -> None:
    planned = schedule(1, ("F1",), SPLIT)

    assert sorted(whom for each in planned for whom in each.whom) == sorted(SPLIT.parts)
    assert ours(["kafka", "kafka-1", "postgres", "worker-ai", "webhook", "simulator", "api"]) == (
        "api",
        "webhook",
        "worker-ai",
    )


def test_only_workers_with_a_table_crash_at_a_point_of_the_loop() -> None:
    planned = schedule(1, ("F1w",), SPLIT)

    assert sorted(each.whom for each in planned) == [("worker-ai",), ("worker-outbound",)]


@pytest.mark.parametrize(
    ("faults", "why"),
    [
        (("F99",), "no such fault"),
        (("F3",), "nobody to strike"),
        (("F4",), "needs 3 brokers"),
    ],
)
def test_a_plan_that_cannot_happen_is_refused(faults: tuple[str, ...], why: str) -> None:
    with pytest.raises(Misconfigured, match=why):
        schedule(1, faults, SPLIT)


def test_every_fault_has_an_act() -> None:
    assert set(ACTS) == set(FAULTS)


def test_every_run_of_the_series_can_happen_on_its_stack(tmp_path: object) -> None:
    for run in (*all_runs(1), *short_runs(1)):
        shape = Shape.of(run)
        options = StackOptions(
            home=tmp_path,  # type: ignore[arg-type] # not used
            layout=shape.layout,
            workers=shape.workers,
            without=shape.without,
        )
        assert schedule(
            run.seed, run.faults, Setting(parts=ours(names(options)), brokers=shape.brokers)
        )


@pytest.mark.parametrize(
    ("layout", "further"),
    [
        ("all-in-one", {f"worker-{number}" for number in range(2, 7)}),
        ("split", {f"worker-ai-{number}" for number in range(2, 7)}),
    ],
)
def test_six_workers_are_scaled_and_in_the_split_layout_of_one_stage_only(
    layout: str, further: set[str]
) -> None:
    run = next(run for run in all_runs(1) if run.faults == ("F13",) and run.layout == layout)
    shape = Shape.of(run)
    options = StackOptions(
        home=Path(), layout=shape.layout, workers=shape.workers, without=shape.without
    )
    setting = Setting(parts=ours(names(options)), brokers=1)

    (planned,) = schedule(run.seed, run.faults, setting)

    assert {name for name in setting.workers if is_further(name)} == further
    assert (set(planned.whom), planned.seconds) == (further, 10.0)


def test_the_series_has_each_fault_three_times_and_a_third_of_it_is_split() -> None:
    runs = all_runs(1)

    assert len(runs) == SEEDS * (len(FAULTS) + len(MIXED))
    assert {name for run in runs for name in run.faults} == set(FAULTS)
    assert sum(run.layout == "split" for run in runs) * len(LAYOUTS) == len(runs)


def test_a_proof_says_what_is_missing() -> None:
    assert at_least(cut=3)({"cut": 3}) is None
    assert at_least(cut=3, delayed=1)({"cut": 2}) == "cut 2 of 3, delayed 0 of 1"
    assert replaced({"before": 1, "after": 2}) is None
    assert replaced({"before": 1, "after": 1}) == "the process lives on"


def test_a_zombie_slept_until_others_had_its_partitions_and_woke_up() -> None:
    seen = {"before": 1, "after": 1, "stopped_s": 13.0, "session_s": 6.0, "taken": 4}
    proof = FAULTS["F3"].proof

    assert proof(seen) is None
    assert proof({**seen, "after": 0}) == "it did not wake up: it was ended"
    assert proof({**seen, "stopped_s": 11.0}) == "it was stopped for less than two session timeouts"
    assert proof({**seen, "taken": 0}) == "nobody took its partitions meanwhile"
