"""Which rows a step of dispatch becomes."""

from __future__ import annotations

from agents.core.conversation import Conversation
from agents.core.dispatch_given_up import behind, given_up
from schemas.events import Event, MessageReceived, Person, Phase, Position, ReplyOrigin
from schemas.topics import CONVERSATION_CHANGED
from sinks.ports import Recorded
from sinks.transcripts import gathered
from tests.sinks.stories import START_MS, Story

SOURCE = Position(topic="inbox.message.received", partition=0, offset=9)


def steps(story: Story, *, first: bool) -> list[Recorded]:
    """What dispatch says of a message of a conversation whose state cannot be read."""
    event = story.said("m9", "alguém?", 60_000).event
    assert isinstance(event, MessageReceived)
    nobody = Conversation(
        tenant_id=event.tenant_id,
        conversation_id=event.conversation_id,
        customer_id=event.customer_id,
        seq=-1,
    )
    say = given_up if first else behind
    _, said = say(
        nobody, event, source=SOURCE, now_ms=START_MS + 60_000, settings=None, reason="bug"
    )
    changed: list[Event] = [each for each in said if each.event == CONVERSATION_CHANGED.name]
    return [story.recorded(each) for each in changed]


def test_a_call_outside_the_order_is_shown_whatever_number_the_conversation_has() -> None:
    story = Story(seq=50)
    rows = gathered([story.step(Phase.THINKING, 0), *steps(story, first=True)])

    assert [row["seq"] for row in rows["states"]] == [51]
    assert [(row["phase"], row["decision"]) for row in rows["called"]] == [
        ("with_human", "handed_over")
    ]
    assert [row["outcome"] for row in rows["outcomes"]] == ["parked"]


def test_what_waits_behind_it_takes_nobody_off_the_conversation() -> None:
    """Its state is a blank one: to the console the AI would have the conversation again."""
    rows = gathered(steps(Story(), first=False))

    assert "states" not in rows
    assert "called" not in rows
    assert [row["outcome"] for row in rows["outcomes"]] == ["parked"]


def test_only_whatsapp_renames_a_customer_who_is_known() -> None:
    """The time decides between two names: at 0 it is taken only where none is known."""
    told = Person(wa_id="5511900000000", name="Cliente 77")
    story = Story()
    rows = gathered(
        [
            story.said("w1", "oi", 10),
            story.said("ext:crm:1", "Cadê?", 20, sender=told),
            story.replied("r1", "Bom dia", 30, recipient=told),
            story.replied("e1", "Olá", 40, recipient=told, origin=ReplyOrigin.PHONE_APP),
        ]
    )

    assert [row["at_ms"] for row in rows["contacts_named"]] == [START_MS + 10, 0, 0, START_MS + 40]
