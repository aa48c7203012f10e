from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.changing import replace
from schemas.errors import Misconfigured
from schemas.events import (
    Author,
    BubbleState,
    Command,
    ControlRequested,
    ConversationChanged,
    HandoffRequested,
    HumanReplied,
    MessageReceived,
    OutboundRequested,
    OutboundSettled,
    OutboundUpdated,
    OutcomeKind,
    Phase,
    ReplyOrigin,
    ResponseGenerated,
    ToolCallCompleted,
    ToolCallRequested,
)
from schemas.topics import OUTBOUND_SETTLED, RESPONSE_GENERATED
from streams.local.chaos import verdict
from streams.local.chaos.archive import read
from streams.local.chaos.course import earliest
from streams.local.chaos.facts import Again, Counted, Effect, Leaked, Letter, Seen
from streams.local.chaos.leaks import SKIPPED
from streams.local.chaos.rules import RULES, STATE_BUDGET_BYTES
from streams.local.chaos.shown import Marked
from streams.local.chaos.story import story
from streams.local.chaos.table import rendered
from streams.local.chaos.verdict import in_flight, judge, lines, unknown_bubbles
from streams.local.load.checker import RULES as LOAD_RULES
from streams.local.load.history import history, unfinished
from tests.local.chaos.runs import ASKED, FIRST, KILLED, SECOND, STEPS, STORED, Run
from tests.local.chaos.test_chaos_sent import PLANTED as SENT

LETTER = Letter(
    topic="inbox.message.received.dlq",
    partition=0,
    offset=0,
    headers={
        "dlq.original.topic": "inbox.message.received",
        "dlq.original.partition": "0",
        "dlq.original.offset": "2",
        "dlq.error.type": "bad_magic",
        "dlq.error.message": "",
        "dlq.attempts": "1",
        "dlq.first_failed_at": "1",
        "dlq.group": "whaticket.dispatch",
    },
    keyed=True,
)
POISON = replace(
    KILLED, fault="F11", evidence={"written": 1, "places": "inbox.message.received:0:2"}
)


def drop(record: type, place: int = 0) -> Callable[[Run], object]:
    return lambda run: run.records.pop(run.find(record, place))


def last_outcome_lost(run: Run) -> None:
    """The step that ended the last message of the first customer is not on the log."""
    steps = [
        i
        for i, r in enumerate(run.records)
        if isinstance(r.event, ConversationChanged) and r.event.outcomes
    ]
    run.records.pop(steps[1])


def swap_bubbles(run: Run) -> None:
    first, second = run.accepted[0], run.accepted[1]
    run.accepted[:2] = [replace(first, number=2), replace(second, number=1)]


def swap_messages(run: Run) -> None:
    a, b = run.find(MessageReceived, 0), run.find(MessageReceived, 1)
    first, second = run.records[a], run.records[b]
    run.records[a] = replace(first, position=second.position)
    run.records[b] = replace(second, position=first.position)


def acked_before_stored(run: Run) -> None:
    """The worker died between its commit and the state: the step was decided again, later."""
    moment = run.committed[0]
    ends = tuple(
        (topic, partition, 3 if topic == "conversation.state.changed" else end)
        for topic, partition, end in moment.ends
    )
    run.committed.append(replace(moment, ends=ends))


def buried_twice(run: Run) -> None:
    run.faults = ("F11",)
    run.struck = [POISON]
    run.letters += [LETTER, LETTER]


def people_do_everything(run: Run) -> None:
    for index, record in enumerate(run.records):
        event = record.event
        if isinstance(event, ConversationChanged):
            handed = tuple(replace(o, kind=OutcomeKind.HANDED) for o in event.outcomes)
            run.records[index] = replace(record, event=replace(event, outcomes=handed))


def message_with_two_effects(run: Run) -> None:
    """A turn that changed something was thrown away, and the next one did it again."""
    run.change(HandoffRequested, 1, wamids=("wamid.5500001-1", "wamid.5500001-3"))
    run.tool(FIRST, "turn-5500001-2", "call-2", 6600)


def effect_after_takeover(run: Run) -> None:
    run.change(ToolCallRequested, 0, conversation_id="conv_5500002")
    run.effects[0] = replace(run.effects[0], conversation_id="conv_5500002", at_ms=7500)


def commands_swapped(run: Run) -> None:
    """A release that came after a takeover was decided before it."""
    run.repeat(ControlRequested, command=Command.RELEASE)
    first, second = (run.records[run.find(ControlRequested, place)] for place in (0, 1))
    run.step(SECOND, 7100, second)
    for index, record in enumerate(run.records):
        cause = record.event.cause
        if cause and cause.topic == first.position.topic:
            turned = replace(cause, offset=1 - cause.offset)
            run.records[index] = replace(record, event=replace(record.event, cause=turned))


def unsent(run: Run, author: Author) -> None:
    """The gate drops a bubble, and nobody has silenced the AI."""
    run.change(OutboundSettled, 0, state=BubbleState.DROPPED, reason="stale_epoch", author=author)
    run.accepted.pop(0)


def reply_without_a_bubble(run: Run) -> None:
    asked = run.add(
        HumanReplied(
            **run.envelope(HumanReplied, SECOND, 7200), phone_number_id="111",
            origin=ReplyOrigin.CONSOLE, reply_id="r2", text="!",
        )
    )  # fmt: skip
    run.step(SECOND, 7201, asked)
    run.change(ConversationChanged, -1, decision="human_replied", reason="console")


def command_undecided(run: Run) -> None:
    """A partition of commands stood still; nothing else waits for it."""
    run.records.pop(run.step_about(ControlRequested))
    run.committed = [
        replace(moment, offsets=tuple(o for o in moment.offsets if "control" not in o[0]))
        for moment in run.committed
    ]


def reply_sent_twice(run: Run) -> None:
    """The API took one reply as two, and the customer has it twice."""
    for number in (1, 2):
        reply_without_a_bubble(run)
        run.change(ConversationChanged, -1, phase_before=Phase.WITH_HUMAN)
        asked = run.records[run.find(HumanReplied, -1)]
        run.bubble(SECOND, "", f"reply-{number}", 7300, asked)
        for record in (OutboundRequested, OutboundUpdated, OutboundSettled):
            run.change(record, -1, author=Author.HUMAN, turn_id=None)


def gate_never_told(run: Run) -> None:
    """Dispatch takes over and does not say so to the gate, which sends what it has."""
    run.change_step(ControlRequested, decision="taken_over")
    run.records.pop(run.find(OutboundRequested, -1))


def unshown(run: Run, **changes: Any) -> None:
    run.shown[0] = replace(run.shown[0], **changes)


PLANTED: dict[str, tuple[Callable[[Run], object], str]] = {
    "an event is dropped": (last_outcome_lost, "one_outcome"),
    "a message is lost before the log": (drop(MessageReceived), "on_the_log"),
    "a bubble is doubled": (
        lambda r: r.accepted.append(replace(r.accepted[0], number=99)),
        "sent_once",
    ),
    "two bubbles are swapped": (swap_bubbles, "bubble_order"),
    "two messages are swapped": (swap_messages, "log_order"),
    "an event is acknowledged before its state is stored": (acked_before_stored, "commits"),
    "a commit passes a hole at dispatch": (
        drop(ConversationChanged, 1),
        "commits",
    ),
    "a commit passes a hole at the gate": (drop(OutboundUpdated, 1), "commits"),
    "a commit passes a marker": (drop(OutboundSettled, -1), "commits"),
    "a commit passes a hole at the tools": (drop(ToolCallCompleted), "commits"),
    "a commit passes a hole at the ai": (drop(ResponseGenerated, -1), "commits"),
    "nobody sees what is committed": (lambda r: r.committed.clear(), "commits"),
    "nobody is a member of the groups that are looked at": (
        lambda r: setattr(r, "committed", [replace(r.committed[0], offsets=())]),
        "commits",
    ),
    "a bubble comes after the takeover": (Run.late, "late_bubble"),
    "a tool acts after the takeover": (effect_after_takeover, "late_tool"),
    "a tool acts twice in one call": (
        lambda r: r.effects.append(r.effects[0]),
        "effects_once",
    ),
    "a tool acts twice for one message": (message_with_two_effects, "effects_once"),
    "a tool acts unasked": (
        lambda r: r.effects.append(Effect(call_id="ghost", conversation_id="c", at_ms=1)),
        "effects_once",
    ),
    "a tool did not do what it says": (lambda r: r.effects.clear(), "effects_told"),
    "a call is completed twice": (lambda r: r.repeat(ToolCallCompleted), "effects_told"),
    "a phone number is in a log": (
        lambda r: r.leaked.append(Leaked(where="worker.log", what="phone number", times=1)),
        "private",
    ),
    "nobody looked for leaks": (
        lambda r: setattr(r, "searched", replace(r.searched, logs_bytes=0)),
        "private",
    ),
    "a message is never taken": (
        lambda r: setattr(r, "posted", lambda posted: replace(posted, answered_ms=0)),
        "taken",
    ),
    "a person is never heard": (
        lambda r: setattr(r, "asked", [replace(ASKED, answered_ms=0)]),
        "taken",
    ),
    "what a person asked is lost after the API took it": (drop(ControlRequested), "heard"),
    "a reply is decided, and nobody asks to send it": (reply_without_a_bubble, "heard"),
    "what a person asked is never decided": (command_undecided, "heard"),
    "a reply is sent twice": (reply_sent_twice, "heard"),
    "the gate is not told of a takeover": (gate_never_told, "applied"),
    "nobody is called for a bubble whose result is not known": (
        lambda r: r.change(OutboundSettled, 0, state=BubbleState.UNKNOWN),
        "called",
    ),
    "messages are handed to a person, and the ai has the conversation": (
        people_do_everything,
        "called",
    ),
    "the ai speaks while a person has the conversation": (
        lambda r: r.change(ConversationChanged, 3, phase_before=Phase.WITH_HUMAN),
        "silent",
    ),
    "a marker is never applied": (drop(OutboundSettled, -1), "applied"),
    "a bubble of the ai is dropped unsilenced": (lambda r: unsent(r, Author.AI), "dropped"),
    "what a person wrote is dropped": (lambda r: unsent(r, Author.HUMAN), "dropped"),
    "a conversation is handed over, and nobody is called": (
        lambda r: r.change(ConversationChanged, 3, decision="handed_over"),
        "called",
    ),
    "commands are decided in another order": (commands_swapped, "steps_in_order"),
    "a bubble is not in the transcripts": (
        lambda r: unshown(r, messages=r.shown[0].messages[:-1]),
        "shown",
    ),
    "a console shows what nobody said": (
        lambda r: unshown(r, messages=(*r.shown[0].messages, "ghost")),
        "shown",
    ),
    "an outcome is not in the transcripts": (lambda r: unshown(r, outcomes={}), "shown"),
    "a console shows an older step": (lambda r: unshown(r, seq=1), "shown"),
    "a conversation is not in the transcripts": (lambda r: r.shown.pop(), "shown"),
    "the transcripts are empty": (lambda r: r.shown.clear(), "shown"),
    "an answer is not remembered": (lambda r: unshown(r, memories=()), "remembered"),
    "something is remembered that nobody said": (
        lambda r: unshown(r, memories=(*(r.shown[0].memories or ()), "ghost")),
        "remembered",
    ),
    "a message is marked as read that no turn took up": (
        lambda r: r.marked.append(Marked(wamid="wamid.5500001-1", times=1)),
        "marked",
    ),
    "a message is to be marked as read that was never received": (
        lambda r: r.change(OutboundRequested, 1, read_wamid="wamid.ghost"),
        "marked",
    ),
    "a message is marked as read on end": (
        lambda r: r.marked.append(Marked(wamid="wamid.5500001-2", times=500)),
        "marked",
    ),
    "a good message is refused for good": (
        lambda r: setattr(r, "refusals", {"400": 1}),
        "taken",
    ),
    "an event is given up": (lambda r: r.letters.append(LETTER), "parked"),
    "a poison record disappears": (lambda r: r.struck.append(POISON), "parked"),
    "a poison record is buried twice": (
        buried_twice,
        "parked",
    ),
    "a dead letter does not say why": (
        lambda r: r.letters.append(replace(LETTER, headers={})),
        "parked",
    ),
    "people do all the work": (people_do_everything, "served"),
    "the auditor counts a skipped offset": (
        lambda r: r.counted.append(Counted(process="w", name=SKIPPED, labels={}, count=1)),
        "audited",
    ),
    "no worker is asked what its auditor counted": (lambda r: r.counted.clear(), "audited"),
    "a decision is another one the second time": (
        lambda r: r.again.append(Again(steps=9, different=("dispatch conv_x: seq 3",))),
        "replayed",
    ),
    "nothing is decided again": (lambda r: r.again.clear(), "replayed"),
    "a step is not decided again": (
        lambda r: setattr(r, "again", [Again(steps=STEPS - 1, different=())]),
        "replayed",
    ),
    "a state is over its budget": (
        lambda r: r.stored.append(replace(STORED, largest_bytes=STATE_BUDGET_BYTES + 1)),
        "kept_small",
    ),
    "a bubble never settles": (drop(OutboundSettled), "bubbles_end"),
    "a bubble is missing at the simulator": (lambda r: r.accepted.pop(0), "bubbles_end"),
    "a bubble fails": (
        lambda r: r.change(OutboundSettled, 0, state=BubbleState.FAILED, error_code=131000),
        "bubbles_end",
    ),
}


@pytest.fixture
def run() -> Run:
    return Run.well()


def test_a_run_that_went_well_breaks_no_rule(run: Run, tmp_path: Path) -> None:
    told = run.told(tmp_path)

    verdict = judge(told)

    assert (verdict.violations, verdict.unreal) == ([], [])
    assert list(lines(told, verdict))[-1] == "every promise holds"


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_bug_is_caught_by_name(run: Run, plant: str) -> None:
    break_it, rule = PLANTED[plant]

    break_it(run)

    assert rule in run.broken()


@pytest.mark.parametrize(
    ("topic", "seconds", "excused"),
    [
        (RESPONSE_GENERATED.name, 31, True),
        (RESPONSE_GENERATED.name, 30, False),
        (OUTBOUND_SETTLED.name, 31, False),
    ],
)
def test_people_do_the_work_while_dispatch_is_without_the_answers(
    run: Run, topic: str, seconds: int, *, excused: bool
) -> None:
    people_do_everything(run)
    (fault,) = run.struck
    evidence: Seen = {"topic": topic, "older": 2, "waiting": 1, "newer": 2}
    ended_ms = fault.began_ms + 1000 * seconds
    run.struck = [replace(fault, fault="F2t", evidence=evidence, ended_ms=ended_ms)]

    assert ("served" not in run.broken()) is excused


def test_every_rule_that_a_load_does_not_have_has_a_planted_bug() -> None:
    planted = [*PLANTED.values(), *SENT.values()]

    assert {rule for _, rule in planted} >= set(RULES) - set(LOAD_RULES)


def test_what_is_published_again_after_a_crash_is_the_same_event(run: Run) -> None:
    for record in list(run.records):
        run.add(record.event)

    assert run.broken() == set()


def test_a_commit_is_judged_by_what_the_topics_said_then(run: Run) -> None:
    """What was decided after the commit was read does not excuse it, nor accuse it."""
    moment = run.committed[0]
    early = tuple((topic, partition, 1) for topic, partition, _ in moment.offsets)
    run.committed = [replace(moment, offsets=early)]

    assert run.broken() == set()


def test_a_bubble_whose_result_nobody_knows_is_counted(run: Run) -> None:
    run.change(OutboundSettled, 0, state=BubbleState.UNKNOWN)
    run.change_step(OutboundSettled, phase=Phase.WITH_HUMAN)
    told = story(run.facts())

    assert judge(told).violations == []
    assert unknown_bubbles(told) == 1


def test_a_poison_record_has_one_dead_letter(run: Run) -> None:
    run.faults = ("F1", "F11")
    run.struck.append(POISON)
    run.letters.append(LETTER)

    assert run.broken() == set()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"evidence": {"before": 1, "after": 1}}, "lives on"),
        ({"sent": 0}, "middle of the load"),
        ({"unsent": 0}, "middle of the load"),
        ({"fault": "F3"}, "F1 did not happen"),
    ],
)
def test_a_fault_that_did_not_happen_spoils_the_run(
    run: Run, change: dict[str, object], why: str
) -> None:
    run.struck = [replace(KILLED, **change)]  # type: ignore[arg-type] # by the table

    verdict = judge(story(run.facts()))

    assert not verdict.good
    assert any(why in each for each in verdict.unreal)


@pytest.mark.parametrize("busy", [4, 5])
def test_a_fault_after_the_last_message_is_real_while_enough_are_in_flight(
    run: Run, monkeypatch: pytest.MonkeyPatch, busy: int
) -> None:
    monkeypatch.setattr(verdict, "BUSY", busy)
    run.struck = [replace(KILLED, unsent=0, began_ms=2105)]

    unreal = judge(story(run.facts())).unreal

    assert unreal == ([] if busy == 4 else ["F1 of worker was not in the middle of the load"])


def test_messages_in_flight_are_those_that_have_no_outcome_yet(run: Run) -> None:
    told = story(run.facts())

    # At 1105 the first two messages of both customers are out, and nothing is answered.
    assert in_flight(told, replace(KILLED, began_ms=2105)) == 4
    assert in_flight(told, replace(KILLED, began_ms=9000)) == 0


def test_a_spoiled_run_says_how_to_repeat_it(run: Run) -> None:
    run.accepted.pop(0)
    told = story(run.facts())

    said = list(lines(told, judge(told)))

    assert said[-1] == "again: whaticket chaos --seed 1"
    assert any("bubbles_end" in line for line in said)


def test_the_table_has_a_row_for_each_run_and_counts_crashes_between_writes(run: Run) -> None:
    good = story(run.facts())
    run.accepted.pop(0)
    crashed = replace(
        KILLED, fault="F1w", evidence={"crashes": 3, "after_state": 2, "after_ack": 1}
    )
    run.struck.append(crashed)
    bad = story(run.facts())

    shown = rendered([(good, judge(good)), (bad, judge(bad))]).splitlines()

    assert "| F1 | 1 | split | 1 | 6 | 2 | 1 | 0 | 1.7 | holds |" in shown
    assert "| F1 | 1 | split | 1 | 6 | 2 | 1 | 0 | 1.7 | **1 violations** |" in shown
    assert "2 runs, 12 messages, 1 runs that are not good." in shown
    assert any("`after_state` 2, `after_publish` 0, `after_ack` 1" in line for line in shown)
    assert (
        "* changelog of `dispatch`: 18 records of 1000 bytes each on average,"
        " largest state 900 bytes"
    ) in shown


def test_a_history_that_is_cut_off_is_refused(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text('{"fact": "nonsense"}\n')

    with pytest.raises(Misconfigured, match="is no fact of a chaos run"):
        list(read(path))
    with pytest.raises(Misconfigured, match="cut off"):
        story(run.facts()[:-1])


def test_what_a_clock_behind_the_others_dated_is_decided_again_too() -> None:
    late = replace(KILLED, fault="F14", evidence={"skew_ms": -3_600_000, "skewed_s": 20})
    ahead = replace(late, evidence={"skew_ms": 3_540_000, "skewed_s": 20})

    assert earliest(9_000_000, [KILLED, late]) == 5_400_000
    assert earliest(9_000_000, [ahead]) == 9_000_000
    assert earliest(9_000_000, []) == 9_000_000


def test_the_takeover_of_the_sample_is_applied(run: Run) -> None:
    assert run.find(ControlRequested) > 0
    assert run.find(OutboundRequested, -1) > 0


def test_the_end_of_a_run_waits_for_what_people_asked(run: Run) -> None:
    known = history(run.sent, run.records, run.accepted)
    command_undecided(run)

    assert unfinished(known, []) == 0
    assert unfinished(history(run.sent, run.records, run.accepted), []) == 1
