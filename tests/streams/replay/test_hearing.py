"""What is asked while a step is decided is noted, and only what is noted is used."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from agents.ports import (
    SWITCHED_OFF,
    Completion,
    NotSent,
    Prompt,
    Superseded,
    ToolCaller,
    ToolReturned,
)
from schemas.changing import replace
from schemas.errors import Unavailable
from streams.processor.answers import KINDS
from streams.processor.hearing import (
    SUPERSEDED,
    Cut,
    Hearing,
    Note,
    listening,
    notes,
    overheard,
    overheard_tenants,
    overheard_tools,
    pause,
    raw,
)
from streams.replay.recalled import Forgotten, Recalled, Unheard, Versions
from tests.agents.ai.samples import (
    SETTINGS,
    Bench,
    Directory,
    HandClock,
    ScriptedModel,
    said,
    wants,
)

CALLER = ToolCaller(tenant_id="t", conversation_id="c", customer_id="u", call_id="i")


async def answered(completion: Completion) -> tuple[Completion, list[Any]]:
    with listening(Hearing()) as hearing:
        model = overheard("model", ScriptedModel([completion]))
        answer = await model.complete(Prompt(messages=({"role": "user"},)), agent="triage")
    return answer, [json.loads(each) for each in hearing.heard(0)]


async def test_an_answer_is_noted_with_a_hash_of_its_question() -> None:
    answer, ((call, of, gave, raised),) = await answered(said("oi"))

    assert (call, raised, gave["text"]) == ("model.complete", "", "oi")
    assert len(of) == 12
    assert answer == said("oi")


@pytest.mark.parametrize(
    ("written", "used"),
    [
        # Ten megabytes must not be kept; what is kept of them may end with half a price.
        (said("x" * 100_000), said("x" * 10_240, finish_reason="length")),
        (said("\ud800!"), said("?!")),
        (wants(*["look"] * 100), wants(*["look"] * 6)),
    ],
    ids=["long", "no unicode", "many tools"],
)
async def test_a_stage_uses_no_more_than_what_is_noted(
    written: Completion, used: Completion
) -> None:
    answer, (note,) = await answered(written)

    assert answer == used
    assert note[2]["text"] == used.text
    assert len(note[2]["tools"]) == len(used.tools)


async def test_a_tool_result_that_is_no_json_is_used_as_it_is_noted() -> None:
    bench = Bench((ToolReturned(ok=True, content=object()),))
    tools = overheard_tools({"look": bench.tool()})

    with listening(Hearing()):
        returned = await tools["look"].run(CALLER, {})

    assert returned == ToolReturned(ok=True, content={"error": "bad_result"})


async def test_what_is_down_is_noted_and_raised_again() -> None:
    with listening(Hearing()) as hearing:
        model = overheard("model", ScriptedModel([Unavailable("model", 2.5)]))
        with pytest.raises(Unavailable):
            await model.complete(Prompt(messages=()), agent="triage")

    again = Recalled(notes(hearing.heard(0)), 0)
    with listening(again), pytest.raises(Unavailable) as raised:
        await model.complete(Prompt(messages=()), agent="triage")
    assert (raised.value.service, raised.value.retry_after_s) == ("model", 2.5)
    assert again.heard(0) == hearing.heard(0)


async def test_a_tool_that_was_cut_off_is_cut_off_again() -> None:
    async def sleeps(*_: Any) -> ToolReturned:
        await asyncio.sleep(60)
        raise AssertionError

    tools = overheard_tools({"look": replace(Bench().tool(), run=sleeps)})
    with listening(Hearing()) as hearing, pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await tools["look"].run(CALLER, {})

    with listening(Recalled(notes(hearing.heard(0)), 0)), pytest.raises(TimeoutError):
        await tools["look"].run(CALLER, {})


async def test_another_question_than_then_shows_in_its_hash() -> None:
    _, (note,) = await answered(said("oi"))
    again = Recalled(notes([json.dumps(note)]), 0)

    with listening(again):
        model = overheard("model", ScriptedModel([]))
        await model.complete(Prompt(messages=({"role": "changed"},)), agent="triage")

    assert json.loads(again.heard(0)[0])[1] != note[1]


def test_settings_whose_version_no_record_names_are_noted() -> None:
    with listening(Hearing()) as hearing:
        overheard_tenants(Directory()).get("loja")

    assert hearing.heard(SETTINGS.version) == ()
    (note,) = hearing.heard(0)
    assert json.loads(note) == ["tenants.get", "", SETTINGS.version, ""]
    with listening(Recalled(notes([note]), 0)):
        assert overheard_tenants(Versions([SETTINGS])).get("loja") == SETTINGS
    with listening(Recalled(notes([note]), 0)), pytest.raises(Forgotten, match="version 7"):
        overheard_tenants(Versions()).get("loja")


def test_more_questions_than_then_have_no_answer() -> None:
    clock = overheard("clock", HandClock())

    with listening(Recalled([], 0)), pytest.raises(Unheard, match=r"clock\.now_ms"):
        clock.now_ms()


def test_a_question_that_nobody_notes_cannot_be_asked() -> None:
    letters: Any = overheard("courier", NotSent(reason="unreachable"))

    with pytest.raises(AttributeError, match=r"streams/processor/answers\.py"):
        _ = letters.title


async def down(*_: Any, **__: Any) -> Completion:
    raise Unavailable("model")


async def never(*_: Any, **__: Any) -> Completion:
    await asyncio.sleep(60)
    raise AssertionError


class Scripted:
    """A model that is down as often as it is told, then says nothing."""

    def __init__(self, times: int) -> None:
        self.times = times

    async def complete(self, *_: Any, **__: Any) -> Completion:
        self.times -= 1
        return await (never() if self.times < 0 else down())


async def stubborn(model: Scripted, reached: list[str]) -> None:
    """Ask again while it is down, as the AI stage does."""
    heard = overheard("model", model)
    while True:
        reached.append("asks")
        try:
            await heard.complete(Prompt(messages=()), agent="triage")
        except Unavailable:
            reached.append("waits")
            await pause(60)


@pytest.mark.parametrize(
    ("times", "turns", "reached"),
    [(0, 0, []), (0, 2, ["asks"]), (1, 2, ["asks", "waits"])],
    ids=["before it began", "while the model thinks", "between two tries"],
)
async def test_a_call_that_was_cut_short_is_replayed_as_far_as_it_came(
    times: int, turns: int, reached: list[str]
) -> None:
    async def cut() -> None:
        task = asyncio.ensure_future(stubborn(Scripted(times), then))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise Superseded

    then: list[str] = []
    with listening(Hearing()) as hearing, pytest.raises(Superseded):
        await hearing.unless(cut)
    now: list[str] = []
    with listening(Recalled(notes(hearing.heard(0)), 0)) as again, pytest.raises(Superseded):
        await again.unless(lambda: stubborn(Scripted(0), now))

    assert then == now == reached
    assert again.heard(0) == hearing.heard(0)


@pytest.mark.parametrize("by", ["", SWITCHED_OFF])
async def test_replay_knows_what_cut_a_call_short(by: str) -> None:
    async def cut() -> None:
        raise Superseded(by)

    with listening(Hearing()) as hearing, pytest.raises(Superseded):
        await hearing.unless(cut)
    heard = hearing.heard(0)
    with listening(Recalled(notes(heard), 0)) as again, pytest.raises(Superseded) as raised:
        await again.unless(cut)

    assert raised.value.by == by
    assert again.heard(0) == heard


def test_a_call_that_an_event_cut_short_is_noted_as_it_was_before_switches_cut_calls() -> None:
    recalled = Recalled([Note(SUPERSEDED, gave=raw([0, True]))], 0)

    assert recalled.superseded == {0: Cut(0, began=True)}
    assert Cut(0, began=True).plain == [0, True]


async def test_a_question_that_outlives_a_call_that_was_cut_short_is_noted_as_cut_short() -> None:
    hearing, kind, answer = Hearing(), KINDS["archive.knows"], asyncio.Event()

    async def late() -> bool:
        await answer.wait()
        return True

    async def cut_short() -> None:
        asking.append(asyncio.ensure_future(hearing.ask("archive.knows", "q", kind, late)))
        await asyncio.sleep(0)
        raise Superseded

    asking: list[asyncio.Future[Any]] = []
    with pytest.raises(Superseded):
        await hearing.unless(cut_short)
    noted = hearing.heard(0)
    answer.set()
    await asyncio.gather(*asking)

    assert [note.raised for note in notes(noted)] == [SUPERSEDED, ""]
    assert hearing.heard(0) == noted
