"""What a console is told of a message, without a database."""

from __future__ import annotations

from typing import Any

import pytest

from sinks.changes import Changes
from streams.api.dialect import emits, message_json

TICKET: dict[str, Any] = {
    "id": 7,
    "company": 1,
    "unread": 0,
    "contact_id": 3,
    "contact_name": "Maria",
    "contact_number": "5511987654321",
}


def bubble(state: str, **more: Any) -> dict[str, Any]:
    given = {
        "id": "b1",
        "state": state,
        "from_me": True,
        "body": "Temos!",
        "kind": "text",
        "deleted": False,
        "edited": False,
        "quoted_id": None,
        "at_ms": 1_790_000_000_000,
    }
    return given | more


@pytest.mark.parametrize(
    ("state", "ack", "deleted"),
    [("planned", 0, False), ("failed", 0, False), ("read", 4, False), ("dropped", 0, True)],
)
def test_what_the_gate_has_dropped_does_not_look_as_if_it_were_still_to_be_sent(
    state: str, ack: int, deleted: bool
) -> None:
    shown = message_json(TICKET, bubble(state))

    assert (shown["ack"], shown["isDeleted"]) == (ack, deleted)


def test_what_the_customer_took_back_is_deleted() -> None:
    assert message_json(TICKET, bubble("read", deleted=True))["isDeleted"]


@pytest.mark.parametrize(("from_me", "ack"), [(True, 2), (False, 0)])
def test_what_a_person_sent_from_the_phone_is_shown_as_sent(from_me: bool, ack: int) -> None:
    """The gate did not send it, so it has no state of ours: a clock would stand there for ever."""
    assert message_json(TICKET, bubble("", from_me=from_me))["ack"] == ack


@pytest.mark.parametrize(
    ("before", "after", "left"),
    [
        (("open", "7"), ("open", "8"), ("company-1-open", "company-1-user-7")),
        (("pending", None), ("pending", "8"), ("company-1-pending",)),
        (("pending", None), ("open", "8"), ("company-1-pending",)),
        (("open", "7"), ("pending", None), ("company-1-open", "company-1-user-7")),
        (("open", "7"), ("open", "7"), None),
    ],
)
def test_a_ticket_leaves_the_lists_of_those_who_have_it_no_more(
    before: tuple[str, str | None], after: tuple[str, str | None], left: tuple[str, ...] | None
) -> None:
    """A list takes in what is a person's own, and drops only what is deleted."""
    status, agent_user = after
    more: dict[str, Any] = {"status": status, "agent_user": agent_user, "conversation_id": "conv_1"}
    more |= {"last_message": "oi", "last_from_me": False, "chatbot": False, "channel_id": 1}
    more |= {"phone_number_id": "1122", "first_ms": 1, "updated_ms": 1}
    key = ("acme", "conv_1")

    said = list(emits(Changes(moved={key: before}), {key: TICKET | more}, []))

    deleted = [emit.rooms for emit in said if emit.body["action"] == "delete"]
    assert deleted == ([] if left is None else [left])
    assert said[-1].body["ticket"]["status"] == status
