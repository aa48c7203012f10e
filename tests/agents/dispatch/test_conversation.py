from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.core.conversation import (
    TRANSITIONS,
    Conversation,
    Pending,
    RunningTurn,
    Trigger,
    allows,
    diagram,
    evolve,
)
from agents.core.spoken import Spoken
from schemas.errors import Rejected
from schemas.events import MessageKind, Person, Phase

PHASES = [phase for phase in Phase if phase is not Phase.UNKNOWN]
BLANK = Conversation(tenant_id="t", conversation_id="c", customer_id="p")
OI = Pending(wamid="w1", text="oi", kind=MessageKind.TEXT, trace_id="t1", received_ms=1)


def at(phase: Phase) -> Conversation:
    return Conversation(tenant_id="t", conversation_id="c", customer_id="p", phase=phase)


def test_every_phase_has_a_row() -> None:
    assert set(TRANSITIONS) == set(PHASES)


def test_every_trigger_is_used() -> None:
    assert {trigger for moves in TRANSITIONS.values() for trigger in moves} == set(Trigger)


def test_every_phase_can_be_reached_and_left() -> None:
    reached = {Phase.IDLE}
    for _ in PHASES:
        reached |= {after for phase in reached for after in TRANSITIONS[phase].values()}

    assert reached == set(PHASES)
    assert all(set(TRANSITIONS[phase].values()) - {phase} for phase in PHASES)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("trigger", list(Trigger))
def test_the_table_alone_decides_the_phase(phase: Phase, trigger: Trigger) -> None:
    before = at(phase)
    if allows(phase, trigger):
        assert evolve(before, trigger, epoch=3) == Conversation(
            tenant_id="t",
            conversation_id="c",
            customer_id="p",
            phase=TRANSITIONS[phase][trigger],
            epoch=3,
        )
        return

    with pytest.raises(Rejected, match="illegal_transition"):
        evolve(before, trigger, epoch=3)

    assert before == at(phase)


@pytest.mark.parametrize("phase", [phase for phase in PHASES if phase is not Phase.WITH_HUMAN])
def test_a_person_can_take_any_conversation(phase: Phase) -> None:
    assert evolve(at(phase), Trigger.TAKE).phase is Phase.WITH_HUMAN


def test_only_a_release_brings_a_conversation_from_a_person_back_to_the_ai() -> None:
    back = {
        trigger
        for trigger, after in TRANSITIONS[Phase.WITH_HUMAN].items()
        if after in (Phase.IDLE, Phase.GATHERING, Phase.THINKING)
    }

    assert back == {Trigger.RELEASE}


@given(
    st.builds(
        Conversation,
        tenant_id=st.text(),
        conversation_id=st.text(),
        customer_id=st.text(),
        phase=st.sampled_from(PHASES),
        timers=st.dictionaries(st.text(), st.integers(0, 2**53)),
        turn=st.none()
        | st.builds(
            RunningTurn,
            turn_id=st.text(),
            turn_seq=st.integers(0, 9),
            agent=st.text(),
            messages=st.just((OI,)),
            started_ms=st.integers(0, 2**53),
        ),
        pending=st.lists(st.just(OI)).map(tuple),
        history=st.lists(
            st.builds(
                Spoken,
                role=st.text(),
                text=st.text(),
                at=st.just(1),
                bubble_id=st.none() | st.text(),
            )
        ).map(tuple),
        seen=st.dictionaries(st.integers(0, 99999).map(str), st.text()),
        person=st.builds(Person, wa_id=st.none() | st.text()),
    )
)
def test_the_state_survives_json(state: Conversation) -> None:
    assert msgspec.json.decode(msgspec.json.encode(state), type=Conversation) == state


def test_the_diagram_shows_every_move_of_the_table() -> None:
    lines = diagram().splitlines()

    drawn = {
        (before, on, after)
        for before, rest in (line.strip().split(" --> ") for line in lines[2:])
        for after, triggers in (rest.split(": "),)
        for on in triggers.split(", ")
    }
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> idle"]
    assert drawn == {
        (str(before), str(on), str(after))
        for before, moves in TRANSITIONS.items()
        for on, after in moves.items()
    }
