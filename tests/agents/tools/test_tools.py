from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.core.toolcalls import CONTENT_BYTES, ToolCalls, bounded
from agents.ports import Claimed, Observation, Tool, ToolRan, ToolReturned
from agents.tools import CLAIM_VALID_MS, tools
from schemas.changing import replace
from schemas.errors import Rejected, Unavailable
from schemas.events import Event, SettingsChanged, ToolCallCompleted, ToolCallRequested
from tests.agents.ai.samples import (
    NOW,
    SETTINGS,
    Bench,
    Directory,
    HandClock,
    Ledger,
    OneDelivery,
    call,
    start,
)


class Stage:
    """The stage with fakes around it."""

    def __init__(self, *script: ToolReturned | Exception, **changes: Any) -> None:
        self.bench = Bench(script) if script else Bench()
        self.tool: Tool = self.bench.tool(**changes)
        self.claims = Ledger()
        self.tenants = Directory()
        self.clock = HandClock()
        self.seen: list[Observation] = []
        self.now_ms = NOW

    async def apply(
        self, state: ToolCalls | None, event: Event
    ) -> tuple[ToolCalls, tuple[Event, ...]]:
        return await tools(
            state,
            event,
            OneDelivery(now_ms=self.now_ms),
            toolbox={self.tool.name: self.tool},
            claims=self.claims,
            tenants=self.tenants,
            clock=self.clock,
            observe=self.seen.append,
            sleep=self.clock.sleep,
        )

    def ran(self, call_id: str) -> int:
        return [caller.call_id for caller, _ in self.bench.runs].count(call_id)

    async def run(
        self, event: ToolCallRequested, state: ToolCalls | None = None
    ) -> ToolCallCompleted:
        _, (completed,) = await self.apply(state, event)
        assert isinstance(completed, ToolCallCompleted)
        return completed


WRITES: dict[str, Any] = {"side_effect": True}


async def test_a_tool_runs_for_the_customer_of_the_conversation() -> None:
    stage = Stage()

    completed = await stage.run(call())

    assert (completed.ok, completed.content, completed.error) == (True, '{"found":1}', None)
    assert completed.side_effect is False
    ((caller, given_),) = stage.bench.runs
    assert (caller.tenant_id, caller.customer_id, caller.call_id) == ("loja", "cust_1", "call-1")
    assert given_ == {"word": "x"}
    assert stage.seen == [ToolRan(tool="look", outcome="ok", seconds=0.0)]


async def test_a_repeated_call_is_answered_once() -> None:
    stage = Stage()
    state, _ = await stage.apply(None, call())

    state, events = await stage.apply(state, call())

    assert (events, state.seq, len(stage.bench.runs)) == ((), 2, 1)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"tool": "nope"}, "unknown_tool"),
        ({"agent": "sales"}, "not_permitted"),
        ({"deadline_at": NOW}, "deadline"),
        ({"arguments": "not json"}, "bad_arguments"),
        ({"arguments": "[]"}, "bad_arguments"),
        ({"arguments": ""}, "bad_arguments"),
        ({"arguments": '{"word":NaN}'}, "bad_arguments"),
        ({"arguments": "[" * 4_000}, "bad_arguments"),  # deeper than the parser goes
        ({"arguments": '{"word":' * 450 + "1" + "}" * 450}, "bad_arguments"),  # deep, but read
        ({"arguments": '{"word":"' + "x" * 5_000 + '"}'}, "bad_arguments"),
        ({"arguments": "{}"}, "bad_arguments"),  # a required one is missing
        ({"arguments": '{"word":"x","customer_id":"cust_2"}'}, "bad_arguments"),
        ({"arguments": '{"word":7}'}, "bad_arguments"),
    ],
)
async def test_a_refused_call_runs_nothing_and_the_model_sees_why(
    changes: dict[str, Any], error: str
) -> None:
    stage = Stage(**WRITES)

    completed = await stage.run(call(**changes))

    assert (completed.ok, completed.error) == (False, error)
    assert json.loads(completed.content)["error"] == error
    assert stage.bench.runs == []
    assert stage.claims.rows == {}


@pytest.mark.parametrize("written", [r"\u0000", r"\ud83d", r"\u200b"])
async def test_a_tool_is_given_no_characters_that_cannot_be_stored(written: str) -> None:
    stage = Stage()

    completed = await stage.run(call(arguments=f'{{"word":"x{written}"}}'))

    assert completed.ok
    ((_, given_),) = stage.bench.runs
    assert given_ in ({"word": "x"}, {"word": "x?"})


async def test_a_mistake_in_arguments_names_the_place_and_never_the_value() -> None:
    completed = await Stage().run(call(arguments='{"word":12345}'))

    assert json.loads(completed.content)["detail"] == "word: type"


async def test_a_tool_that_writes_is_claimed_first_and_its_result_stored() -> None:
    stage = Stage(**WRITES)

    completed = await stage.run(call())

    assert (completed.ok, completed.side_effect) == (True, True)
    assert stage.claims.rows == {
        ("tool", "call-1", 1): '{"ok": true, "content": "{\\"found\\":1}", "error": null}'
    }


async def test_a_redelivered_write_tells_the_stored_result_and_runs_nothing() -> None:
    stage = Stage(**WRITES)
    first = await stage.run(call())

    again = await stage.run(call())

    assert again == first
    assert len(stage.bench.runs) == 1


async def test_a_redelivered_write_without_a_result_is_unknown() -> None:
    stage = Stage(**WRITES)
    await stage.claims.claim("tool", "call-1", 1)

    completed = await stage.run(call())

    assert (completed.ok, completed.error, completed.side_effect) == (False, "unknown_result", True)
    assert stage.bench.runs == []


@pytest.mark.parametrize("deaf", [Unavailable("postgres"), LookupError("nobody foresaw it")])
async def test_a_write_whose_result_cannot_be_stored_is_told_all_the_same(deaf: Exception) -> None:
    stage = Stage(**WRITES)

    class Deaf(Ledger):
        async def settle(self, *_: Any) -> None:
            raise deaf

    stage.claims = Deaf()

    completed = await stage.run(call())

    assert (completed.ok, completed.error, completed.side_effect) == (True, None, True)


async def test_without_a_claim_there_is_no_effect() -> None:
    stage = Stage(**WRITES)

    class Down(Ledger):
        async def claim_write(self, *_: Any) -> Claimed:
            raise Unavailable("postgres")

    stage.claims = Down()
    with pytest.raises(Unavailable):
        await stage.run(call())
    assert stage.bench.runs == []


@pytest.mark.parametrize("error", [Unavailable("erp"), TimeoutError()])
async def test_a_write_that_was_cut_off_is_unknown_and_never_tried_again(error: Exception) -> None:
    stage = Stage(error, **WRITES)

    completed = await stage.run(call())
    again = await stage.run(call())

    assert (completed.error, completed.side_effect) == ("unknown_result", True)
    assert (again.error, len(stage.bench.runs)) == ("unknown_result", 1)


async def test_a_write_that_refused_changed_nothing() -> None:
    stage = Stage(Rejected("closed"), **WRITES)

    completed = await stage.run(call())

    assert (completed.ok, completed.error, completed.side_effect) == (False, "closed", False)


@pytest.mark.parametrize(
    ("script", "error", "runs"),
    [
        ([Unavailable("erp")] * 3, "unavailable", 3),
        ([Unavailable("erp"), ToolReturned(ok=True, content=1)], None, 2),
        ([TimeoutError()], "timeout", 1),
        ([Rejected("closed")], "closed", 1),
        ([ToolReturned(ok=False, content={}, error="not_found")], "not_found", 1),
    ],
)
async def test_how_a_read_ends(
    script: list[ToolReturned | Exception], error: str | None, runs: int
) -> None:
    stage = Stage(*script)

    completed = await stage.run(call())

    assert (completed.ok, completed.error) == (error is None, error)
    assert len(stage.bench.runs) == runs


async def test_a_write_of_an_epoch_before_a_takeover_does_not_start() -> None:
    stage = Stage(**WRITES)
    state, _ = await stage.apply(None, call(1, epoch=4))

    stale = await stage.run(call(2, epoch=3), state)

    assert (stale.error, len(stage.bench.runs)) == ("stale_epoch", 1)


async def test_a_write_does_not_start_after_a_takeover_was_written_down() -> None:
    stage = Stage(**WRITES)
    await stage.claims.bar("conv_1", 2)

    stale = await stage.run(call(1, epoch=1))
    after_release = await stage.run(call(2, epoch=3))

    assert (stale.ok, stale.error, stale.side_effect) == (False, "stale_epoch", False)
    assert (after_release.ok, len(stage.bench.runs)) == (True, 1)


@pytest.mark.parametrize("late", ["deadline", "epoch", "takeover", "kill switch"])
async def test_a_write_that_ran_before_its_worker_died_is_told_whatever_has_come_since(
    late: str,
) -> None:
    stage = Stage(**WRITES)
    first = await stage.run(call())  # its state was not written
    state: ToolCalls | None = None
    if late == "epoch":
        state, _ = await stage.apply(None, call(2, epoch=4))
    elif late == "takeover":
        await stage.claims.bar("conv_1", 2)
    elif late == "kill switch":
        stage.tenants = Directory({"loja": replace(SETTINGS, ai_enabled=False)})
    else:
        stage.now_ms += 90_000

    again = await stage.run(call(), state)

    told = (again.ok, again.content, again.side_effect)
    assert told == (True, first.content, True)
    assert stage.ran("call-1") == 1


async def test_a_read_may_run_after_a_takeover() -> None:
    stage = Stage()
    await stage.claims.bar("conv_1", 2)

    assert (await stage.run(call(1, epoch=1))).ok


async def test_a_write_whose_claim_has_become_old_does_not_start() -> None:
    stage = Stage(**WRITES)

    class Frozen(Ledger):
        async def claim_write(self, *given: Any) -> Claimed:
            stage.clock.at_ms += CLAIM_VALID_MS + 1
            return await super().claim_write(*given)

    stage.claims = Frozen()
    completed = await stage.run(call())

    assert (completed.error, completed.side_effect) == ("claim_expired", False)
    assert stage.bench.runs == []


@pytest.mark.parametrize("known", [{}, {"loja": replace(SETTINGS, ai_enabled=False)}])
async def test_where_the_tenant_stopped_its_ai_nothing_is_changed_outside(
    known: dict[str, SettingsChanged],
) -> None:
    stage = Stage(**WRITES)
    stage.tenants = Directory(known)

    completed = await stage.run(call())

    assert (completed.error, stage.bench.runs, stage.claims.rows) == ("ai_disabled", [], {})
    assert completed.cause is not None
    assert completed.cause.settings_version == (7 if known else 0)


async def test_a_read_of_an_older_epoch_may_still_run() -> None:
    stage = Stage()
    state, _ = await stage.apply(None, call(1, epoch=4))

    assert (await stage.run(call(2, epoch=3), state)).ok


async def test_an_event_of_another_stage_is_rejected() -> None:
    with pytest.raises(Rejected, match="unexpected_event"):
        await Stage().apply(None, start())


async def test_a_call_of_another_conversation_is_rejected() -> None:
    stage = Stage()
    state, _ = await stage.apply(None, call())

    with pytest.raises(Rejected, match="wrong_conversation"):
        await stage.apply(state, call(2, conversation_id="conv_2"))


async def test_the_state_is_bounded_and_plain() -> None:
    stage = Stage()
    state: ToolCalls | None = None
    for number in range(200):
        state, _ = await stage.apply(state, call(number))

    assert state is not None
    assert len(state.seen) == 64
    assert msgspec.json.decode(msgspec.json.encode(state), type=ToolCalls) == state


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_a_result_is_always_bounded_json(content: Any) -> None:
    for given_ in (content, [content] * 5_000):
        text = bounded(given_)
        assert bounded(json.loads(text)) == text
        assert len(text.encode()) <= CONTENT_BYTES


def test_names_that_are_the_same_once_they_are_clean_are_one() -> None:
    assert bounded({"a": 1, "a\x7f": 2}) == '{"a":2}'


def test_a_result_that_is_no_json_says_so() -> None:
    assert bounded(object()) == '{"error":"bad_result"}'


def test_a_long_result_of_characters_that_nobody_sees_is_cut_as_well() -> None:
    told = json.loads(bounded({"text": "\u200b" * 70_000 + "Oi"}))

    assert told["truncated"] is True


def test_a_long_result_says_that_it_was_cut() -> None:
    cut = json.loads(bounded({"text": '"\U0001f600' * 20_000}))

    assert cut["truncated"] is True
