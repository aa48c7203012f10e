"""What is missing, doubled, cut or different is told in words."""

from __future__ import annotations

import pytest

from schemas.changing import replace
from schemas.codec import HEADER
from schemas.errors import Misconfigured
from schemas.events import (
    ConversationChanged,
    Event,
    MessageReceived,
    Phase,
    SettingsChanged,
    StepTaken,
)
from streams.cli.replay import since_ms
from streams.deadletters.dlq import Verdict as Reason
from streams.processor.parker import Parker
from streams.processor.steps import STATE_EVERY
from streams.replay.found import Found, steps
from streams.replay.judge import Verdict
from streams.replay.report import lines
from streams.replay.whole import Replayed
from streams.state.records import Entry, Kept
from tests.agents.dispatch.talk import T0, message
from tests.streams.replay import mill as mills
from tests.streams.replay.mill import CODEC, Mill
from tests.streams.replay.test_laws import judged, mood_of

DISPATCH = ("dispatch", "conv_0f")


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mills, "BUGS", 0)
    monkeypatch.setattr(mills, "REPEATED", 0)


async def repeated(times: int) -> list[Found]:
    """A person's conversation in which one message comes again and again: a step each time."""
    mill = Mill(mood_of(1))
    for number in range(times):
        mill.put(message("wamid.1", "oi", T0 + number))
        mill.world.at_ms += 1000
        await mill.rest(3)
    await mill.rest()
    return mill.found()


def of_dispatch(found: Found) -> int:
    """Number of the step of dispatch that said it; 0 when it is none."""
    event = found.event
    said = isinstance(event, ConversationChanged) or (
        isinstance(event, StepTaken) and event.stage == "dispatch"
    )
    return event.cause.seq if said and event.cause else 0


async def verdict(found: list[Found], **more: int) -> Verdict:
    (only,) = (each for each in await judged(found, **more) if each.actor == DISPATCH)
    return only


def line(judged_: Verdict) -> str:
    return judged_.difference.line if judged_.difference else ""


async def test_a_step_that_no_record_tells_of_is_missing() -> None:
    found = [each for each in await repeated(5) if of_dispatch(each) != 3]

    missing = await verdict(found)

    assert line(missing) == "step 3: no record tells of this step"
    assert missing.difference is not None
    assert missing.difference.missing


async def test_an_event_that_is_not_on_the_log_is_missing() -> None:
    found = await repeated(5)
    lost = [e for e in found if isinstance(e.event, MessageReceived) and e.position.offset == 2]

    missing = await verdict([each for each in found if each not in lost])

    assert line(missing).endswith("its event is not on the log: inbox.message.received[0]@2")


async def test_settings_that_are_not_on_the_log_are_named() -> None:
    mill = Mill(mood_of(1))
    mill.settle_on(version=7)
    mill.put(message("wamid.1", "oi", T0))
    await mill.rest(1)
    found = [each for each in mill.found() if not isinstance(each.event, SettingsChanged)]

    assert line(await verdict(found)) == (
        "step 1: version 7 of the settings of tenant_a is not on the log"
    )


async def test_a_log_that_lost_its_beginning_is_replayed_from_a_written_state() -> None:
    found = await repeated(130)
    old = {
        each.position
        for each in found
        if isinstance(each.event, MessageReceived) and each.position.offset < 60
    } | {each.position for each in found if 0 < of_dispatch(each) < 60}
    left = [each for each in found if each.position not in old]
    horizon_ms = min(e.event.cause.decided_at for e in left if of_dispatch(e) and e.event.cause)

    cut = await verdict(left, horizon_ms=horizon_ms)
    torn = await verdict(left)

    assert (line(cut), cut.skipped > 0) == ("", True)
    assert cut.replayed == max(map(of_dispatch, left)) - STATE_EVERY
    assert torn.difference is not None
    assert torn.difference.missing


async def test_a_step_outside_the_order_is_replayed_from_nothing() -> None:
    mill = Mill(mood_of(1))
    mill.put(message("wamid.1", "oi", T0))
    unreadable = Kept.of(Entry(b"{", {}).dumps())
    step = await Parker(mill.deciders["dispatch"], "g", lambda _: 1).give_up(
        mill.message("inbox.message.received", 0),
        unreadable,
        Reason(reason="bug", group="g", stage="dispatch", first_failed_at_ms=1),
        poison=False,
    )
    for record in step.outbox:
        mill.publish(record)

    stranger = await verdict(mill.found())

    assert [step.cause.seq for step in steps(mill.found())[DISPATCH]] == [0]
    assert (stranger.replayed, line(stranger)) == (1, "")


def changed(found: list[Found], number: int, **fields: object) -> list[Found]:
    """The log with another record of one step."""
    place = next(n for n, each in enumerate(found) if of_dispatch(each) == number)
    event: Event = replace(found[place].event, **fields)  # type: ignore[arg-type]
    other = Found(event, found[place].position, CODEC.encode(event))
    return [*found[:place], other, *found[place + 1 :]]


async def test_the_first_field_that_differs_is_told() -> None:
    found = changed(await repeated(3), 2, phase=Phase.CLOSED)

    assert line(await verdict(found)) == (
        'step 2: conversation.state.changed phase: recorded "closed", replayed "with_human"'
    )


async def test_one_id_that_says_two_things_is_told() -> None:
    found = await repeated(3)
    twice = changed(found, 2, reason="planted")
    found += [each for each in twice if each not in found]

    assert line(await verdict(found)) == (
        "step 2: conversation.state.changed says two things under one id"
    )


async def test_equal_records_of_an_older_schema_are_counted_only() -> None:
    found = [
        replace(each, value=b"\0\0\0\0\x07" + each.value[HEADER.size :])
        if of_dispatch(each) == 2
        else each
        for each in await repeated(3)
    ]

    older = await verdict(found)

    assert (line(older), older.older) == ("", 1)


@pytest.mark.parametrize(("show_text", "shown"), [(False, "[7 characters]"), (True, '"outro"')])
async def test_what_people_wrote_is_hidden_unless_it_is_asked_for(
    show_text: bool, shown: str
) -> None:
    found = await repeated(1)
    place, said = next((n, e) for n, e in enumerate(found) if hasattr(e.event, "bubble_id"))
    event: Event = replace(said.event, text="outro")  # type: ignore[arg-type]
    found[place] = Found(event, said.position, CODEC.encode(event))

    told = line(await verdict(found, show_text=show_text))

    assert f"outbound.message.requested text: recorded {shown}" in told


async def test_the_report_counts_steps_and_names_each_difference() -> None:
    found = changed(await repeated(3), 2, phase=Phase.CLOSED)
    result = Replayed(await judged(found), records=10, undecided=2, reading_s=1, deciding_s=0.5)

    told = "\n".join(lines(result))

    assert "steps of 1 conversation decided again in 0.5 s" in told
    assert "2 inputs without a step: waiting, or dead letters" in told
    assert "1 difference\n  conv_0f dispatch step 2: conversation.state.changed phase" in told


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [("30m", T0 - 1_800_000), ("2h", T0 - 7_200_000), ("1970-01-01T00:00:01Z", 1000)],
)
def test_a_time_is_a_span_or_a_moment(text: str, at_ms: int) -> None:
    assert since_ms(text, T0) == at_ms


@pytest.mark.parametrize("text", ["5x", "-1h", "yesterday", "2026-03-01T12:00:00"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured, match="--since"):
        since_ms(text, T0)
