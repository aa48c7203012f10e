from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.core import turnsteps
from agents.core.turn import Limits, Turn, awaited, exhausted, known, stepped, thinking
from agents.core.turnevents import Moment
from agents.ports import Completion, ToolUse, estimated_tokens
from schemas.errors import Rejected
from schemas.events import (
    Citation,
    Event,
    HandoffRequested,
    Position,
    ResponseGenerated,
    ResponseOutcome,
    ToolCallCompleted,
    ToolCallRequested,
    TurnKind,
)
from tests.agents.ai.samples import NOW, cancel, result, said, start, wants

WRITES = frozenset({"open_ticket", "transfer_to_person"})


def moment(event: Event) -> Moment:
    source = Position(topic=event.event, partition=0, offset=1)
    return Moment(event=event, source=source, now_ms=NOW, settings_version=7)


def begun(event: HandoffRequested | None = None, state: Turn | None = None) -> Turn:
    event = event or start()
    state = stepped(state, event)
    return turnsteps.begin(
        state,
        event,
        moment(event),
        messages=[{"role": "user", "content": event.question}],
        prompt_version="v",
        citations=(Citation(passage_id="p", source="faq", score=0.5, sha256="x"),),
        limits=Limits(),
    )[0]


def answered(state: Turn, completion: Completion) -> tuple[Turn, tuple[Event, ...]]:
    return turnsteps.answered(state, completion, moment(start()), writes=WRITES)


def returned(state: Turn, event: ToolCallCompleted) -> tuple[Turn, tuple[Event, ...]]:
    return turnsteps.tool_completed(stepped(state, event), event, moment(event))


def only_response(events: tuple[Event, ...]) -> ResponseGenerated:
    (event,) = events
    assert isinstance(event, ResponseGenerated)
    return event


def requests(events: tuple[Event, ...]) -> list[ToolCallRequested]:
    return [event for event in events if isinstance(event, ToolCallRequested)]


def test_an_answer_is_one_response_that_carries_its_model_call() -> None:
    state, events = answered(begun(), said("São 5 dias."))

    response = only_response(events)
    assert response.outcome is ResponseOutcome.ANSWERED
    assert response.bubbles == ("São 5 dias.",)
    assert [call.step for call in response.calls] == [1]
    assert (response.prompt_tokens, response.completion_tokens) == (100, 20)
    assert response.confidence == 0.5
    assert response.occurred_at == NOW + 900
    assert response.cause is not None
    assert (response.cause.seq, response.cause.decided_at) == (1, NOW)
    assert state.running is None
    assert known(state, "turn-1", 1)


def test_tools_are_asked_for_with_the_model_call_that_wants_them() -> None:
    state, events = answered(begun(), wants("search_catalogue", "open_ticket"))

    first, second = requests(events)
    assert (first.tool, second.tool) == ("search_catalogue", "open_ticket")
    assert first.call_id != second.call_id
    assert first.event_id != second.event_id
    assert first.model_call == second.model_call
    assert first.model_call is not None
    assert first.model_call.step == 1
    assert thinking(state) is None


def test_the_model_goes_on_when_every_tool_of_the_step_is_back() -> None:
    state, events = answered(begun(), wants("search_catalogue", "order_status"))
    first, second = requests(events)

    state, none_yet = returned(state, result(second))
    assert (none_yet, thinking(state)) == ((), None)
    state, none_yet = returned(state, result(first, '{"name":"</question>"}'))

    assert none_yet == ()
    running = thinking(state)
    assert running is not None
    assert [message["role"] for message in running.messages] == [
        "user",
        "assistant",
        "tool",
        "tool",
    ]
    assert running.messages[2]["content"] == '{"name":"\\u003c/question>"}'


def test_an_answer_that_ran_out_of_tokens_ends_with_a_whole_sentence() -> None:
    cut = said("Temos em azul e preto. O azul custa R$ 1.", finish_reason="length")

    _, events = answered(begun(), cut)

    assert only_response(events).bubbles == ("Temos em azul e preto.",)


def test_an_answer_without_one_whole_sentence_is_an_empty_one() -> None:
    cut = said("O azul custa R$ 1", finish_reason="length")

    state, events = answered(begun(), cut)
    assert events == ()
    _, events = answered(state, cut)

    response = only_response(events)
    assert (response.outcome, response.reason) == (ResponseOutcome.HANDOFF, "empty_answer")


def test_a_link_that_a_tool_gave_may_be_sent() -> None:
    state, events = answered(begun(), wants("search_catalogue"))
    (asked,) = requests(events)
    content = '{"payment":"https://pague.example.com/c/8Zq","expires":"2026-12-01"}'
    state, _ = returned(state, result(asked, content))

    _, events = answered(state, said("Pague em https://pague.example.com/c/8Zq até amanhã."))

    assert only_response(events).bubbles == (
        "Pague em https://pague.example.com/c/8Zq até amanhã.",
    )


def test_a_late_a_repeated_and_a_foreign_tool_result_change_nothing_but_seq() -> None:
    state, events = answered(begun(), wants("search_catalogue", "order_status"))
    first, _ = requests(events)
    state, _ = returned(state, result(first))

    for event in (
        result(first),
        result(first, call_id="unknown"),
        result(first, turn_id="turn-0"),
    ):
        assert not awaited(state, event)
        after, nothing = returned(state, event)
        assert nothing == ()
        assert (after.running, after.finished, after.seq) == (
            state.running,
            state.finished,
            state.seq + 1,
        )


def test_a_repeated_start_changes_nothing() -> None:
    running = begun()
    finished, _ = answered(running, said("ok"))

    for state in (running, finished):
        again, events = turnsteps.begin(
            state, start(), moment(start()), messages=[], prompt_version="", limits=Limits()
        )
        assert (again, events) == (state, ())


def test_a_new_turn_ends_one_that_still_runs() -> None:
    event = start(2)
    state = stepped(begun(), event)

    state, events = turnsteps.begin(
        state, event, moment(event), messages=[], prompt_version="", limits=Limits()
    )

    response = only_response(events)
    assert (response.turn_id, response.outcome) == ("turn-1", ResponseOutcome.CANCELLED)
    assert state.running is not None
    assert state.running.turn_id == "turn-2"


def test_a_cancel_names_what_was_done_and_what_may_yet_be_done() -> None:
    state, events = answered(begun(), wants("open_ticket", "search_catalogue", "open_ticket"))
    done, _, pending = requests(events)
    state, _ = returned(state, result(done, side_effect=True))

    state, events = turnsteps.cancel_asked(state, cancel(), moment(cancel()))

    response = only_response(events)
    assert response.outcome is ResponseOutcome.CANCELLED
    assert response.reason == "newer_message"
    assert response.side_effects == (done.call_id, pending.call_id)
    assert response.prompt_tokens == 100


def test_a_call_that_was_cut_short_is_charged_for_its_prompt() -> None:
    state = begun()
    running = state.running
    assert running is not None

    state, events = turnsteps.cut_short(
        state,
        moment(start()),
        ResponseOutcome.CANCELLED,
        "superseded",
        requested_ms=NOW + 5,
        stopped_ms=NOW + 905,
    )

    response = only_response(events)
    (call,) = response.calls
    assert (call.step, call.duration_ms, call.finish_reason) == (1, 900, "cancelled")
    assert call.prompt_tokens == estimated_tokens(running.messages)
    assert (response.prompt_tokens, response.completion_tokens) == (call.prompt_tokens, 0)
    assert state.running is None


def test_a_cancel_of_a_turn_that_never_began_is_answered_once() -> None:
    state = stepped(None, cancel())
    state, events = turnsteps.cancel_asked(state, cancel(), moment(cancel()))
    assert only_response(events).outcome is ResponseOutcome.CANCELLED

    assert turnsteps.cancel_asked(state, cancel(), moment(cancel())) == (state, ())
    again, nothing = turnsteps.begin(
        state, start(), moment(start()), messages=[], prompt_version="", limits=Limits()
    )
    assert (again, nothing) == (state, ())


def test_a_cancel_of_an_older_turn_leaves_the_running_one_alone() -> None:
    finished, _ = answered(begun(), said("ok"))
    running = begun(start(2), finished)

    assert turnsteps.cancel_asked(running, cancel(1), moment(cancel(1))) == (running, ())


@pytest.mark.parametrize(
    ("completions", "outcome", "reason"),
    [
        ([said(""), said(" \n")], "handoff", "empty_answer"),
        ([said(""), said("oi")], "answered", ""),  # one more try helps
        ([said("no", finish_reason="content_filter")], "handoff", "refused"),
        ([said("no", finish_reason="refusal")], "handoff", "refused"),
        ([said("\u200b\x00")], None, ""),  # nothing that can be read is an empty answer
    ],
)
def test_how_a_turn_ends_without_tools(
    completions: list[Completion], outcome: str | None, reason: str
) -> None:
    state = begun()
    events: tuple[Event, ...] = ()
    for completion in completions:
        state, events = answered(state, completion)

    if outcome is None:
        assert events == ()
    else:
        response = only_response(events)
        assert (response.outcome, response.reason) == (outcome, reason)
        assert response.handoff_to == ("human" if outcome == "handoff" else None)
        assert len(response.calls) == len(completions)


@pytest.mark.parametrize(
    ("ok", "error", "handed"),
    [
        (True, None, True),
        (False, "unavailable", True),  # the note failed; the customer still gets a person
        (False, "unknown_result", True),
        (False, "bad_arguments", False),  # the model may correct itself
        (False, "not_permitted", False),
    ],
)
def test_the_transfer_tool_gives_the_turn_to_a_person(
    ok: bool, error: str | None, handed: bool
) -> None:
    state, events = answered(begun(), wants("transfer_to_person"))
    (asked,) = requests(events)

    state, events = returned(state, result(asked, ok=ok, error=error))

    if handed:
        response = only_response(events)
        assert (response.outcome, response.handoff_to) == (ResponseOutcome.HANDOFF, "human")
        assert response.reason == "tool:transfer_to_person"
    else:
        assert (events, thinking(state) is not None) == ((), True)


@pytest.mark.parametrize(
    ("tool", "error", "handed"),
    [
        ("open_ticket", "unknown_result", True),  # told so, the model would ask for it again
        ("open_ticket", "stale_epoch", False),
        ("search_catalogue", "timeout", False),
    ],
)
def test_what_may_have_been_done_outside_is_for_a_person(
    tool: str, error: str, handed: bool
) -> None:
    state, events = answered(begun(), wants(tool, "order_status"))
    asked, other = requests(events)
    state, events = returned(state, result(asked, ok=False, error=error, side_effect=handed))
    assert events == ()

    state, events = returned(state, result(other))

    if handed:
        response = only_response(events)
        assert (response.outcome, response.handoff_to) == (ResponseOutcome.HANDOFF, "human")
        assert response.reason == "tool:unknown_result"
        assert response.side_effects == (asked.call_id,)
    else:
        assert (events, thinking(state) is not None) == ((), True)


def test_an_event_of_another_conversation_is_rejected() -> None:
    with pytest.raises(Rejected, match="wrong_conversation"):
        stepped(begun(), start(conversation_id="conv_2"))


def test_two_calls_with_one_id_are_one_call() -> None:
    twins = said(
        "",
        tools=(
            ToolUse(model_call_id="same", tool="a", arguments="{}"),
            ToolUse(model_call_id="same", tool="b", arguments="{}"),
            ToolUse(model_call_id="", tool="c d/../e", arguments="nonsense"),
        ),
    )

    _, events = answered(begun(), twins)

    assert [(event.tool, event.arguments) for event in requests(events)] == [
        ("a", "{}"),
        ("c_d____e", "nonsense"),
    ]


completions = st.one_of(
    st.builds(said, st.text(max_size=30)),
    st.lists(
        st.sampled_from(["search_catalogue", "open_ticket", "nope", "transfer_to_person", ""]),
        max_size=8,
    ).map(lambda names: wants(*names)),
    st.builds(said, st.text(max_size=5), finish_reason=st.sampled_from(["length", "refusal"])),
)
moves = st.lists(
    st.one_of(
        st.tuples(st.just("start"), st.integers(1, 4)),
        st.tuples(st.just("cancel"), st.integers(1, 4)),
        st.tuples(st.just("model"), completions),
        st.tuples(st.just("tool"), st.tuples(st.integers(0, 20), st.booleans())),
    ),
    max_size=40,
)


def handed(state: Turn | None, event: HandoffRequested) -> tuple[Turn, tuple[Event, ...]]:
    state = stepped(state, event)
    if event.kind is TurnKind.CANCEL:
        return turnsteps.cancel_asked(state, event, moment(event))
    return turnsteps.begin(
        state, event, moment(event), messages=[], prompt_version="", limits=Limits()
    )


def asked_model(state: Turn, completion: Completion) -> tuple[Turn, tuple[Event, ...]]:
    """Ask the model as the shell does: only while a turn thinks and has means left."""
    running = thinking(state)
    if running is None:
        return state, ()
    spent = exhausted(running, NOW)
    if spent:
        return turnsteps.gave_up(state, moment(start()), ResponseOutcome.HANDOFF, spent)
    return answered(state, completion)


def play(script: list[tuple[str, Any]]) -> tuple[Turn | None, list[Event]]:
    state: Turn | None = None
    events: list[Event] = []
    for kind, detail in script:
        more: tuple[Event, ...] = ()
        if kind in ("start", "cancel"):
            state, more = handed(state, start(detail) if kind == "start" else cancel(detail))
        elif kind == "model" and state is not None:
            state, more = asked_model(state, detail)
        elif kind == "tool" and state is not None and (asked := requests(tuple(events))):
            state, more = returned(state, result(asked[detail[0] % len(asked)], ok=detail[1]))
        events.extend(more)
    return state, events


@given(moves)
@settings(max_examples=200, deadline=None)
def test_whatever_happens_a_turn_has_at_most_one_response(
    script: list[tuple[str, Any]],
) -> None:
    state, events = play(script)

    responded = [event.turn_id for event in events if isinstance(event, ResponseGenerated)]
    assert len(responded) == len(set(responded))
    touched = {f"turn-{n}" for kind, n in script if kind in ("start", "cancel")}
    running = {state.running.turn_id} if state and state.running else set()
    assert set(responded) | running == touched
    assert set(responded) & running == set()


@given(moves)
@settings(max_examples=100, deadline=None)
def test_the_same_events_give_the_same_state_and_the_same_words(
    script: list[tuple[str, Any]],
) -> None:
    state, events = play(script)

    assert play(script) == (state, events)
    assert msgspec.json.decode(msgspec.json.encode(state), type=Turn | None) == state


@given(moves)
@settings(max_examples=100, deadline=None)
def test_no_call_id_is_asked_for_twice(script: list[tuple[str, Any]]) -> None:
    _, events = play(script)

    asked = [event.call_id for event in requests(tuple(events))]
    assert len(asked) == len(set(asked))


def test_a_model_that_always_wants_tools_is_stopped_and_its_state_is_bounded() -> None:
    state = begun()
    huge = '{"text":"' + "é" * 16_000 + '"}'
    everything = wants(*["search_catalogue"] * 50, arguments=huge)
    outcome, calls = None, 0
    while outcome is None:
        running = thinking(state)
        assert running is not None
        assert exhausted(running, NOW) is None
        calls += 1
        state, events = answered(state, everything)
        for asked in requests(events):
            state, _ = returned(state, result(asked, huge))
        outcome = next((e for e in events if isinstance(e, ResponseGenerated)), None)
        assert len(msgspec.json.encode(state)) < 256 * 1024

    assert (calls, outcome.outcome, outcome.reason) == (6, "handoff", "step_limit")


@pytest.mark.parametrize(
    ("now_ms", "tokens", "reason"),
    [
        (NOW, 100, None),
        (NOW + 90_000, 100, "deadline"),
        (NOW, 19_990, "token_budget"),
    ],
)
def test_what_a_turn_may_use(now_ms: int, tokens: int, reason: str | None) -> None:
    state, events = answered(begun(), wants("search_catalogue", prompt_tokens=tokens))
    (asked,) = requests(events)
    state, _ = returned(state, result(asked))

    running = thinking(state)
    assert running is not None
    assert exhausted(running, now_ms) == reason


def test_old_turns_are_still_known_when_their_ids_are_forgotten() -> None:
    state: Turn | None = None
    for number in range(1, 41):
        state, _ = answered(begun(start(number), state), said("ok"))

    assert state is not None
    assert len(state.finished) == 16
    assert all(known(state, f"turn-{number}", number) for number in range(1, 41))
    assert not known(state, "turn-41", 41)
