from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.whatsapp import parse
from tests.streams.webhook.world import (
    World,
    change,
    envelope,
)

KEYS = [
    "entry",
    "changes",
    "field",
    "value",
    "metadata",
    "phone_number_id",
    "messages",
    "statuses",
    "message_echoes",
    "contacts",
    "from",
    "id",
    "type",
    "text",
    "body",
    "wa_id",
    "user_id",
    "profile",
    "name",
    "timestamp",
    "system",
    "context",
    "edit",
]
MESSAGE_KEYS = [
    "from",
    "id",
    "type",
    "text",
    "timestamp",
    "image",
    "edit",
    "reaction",
    "interactive",
    "contacts",
    "system",
    "context",
    "to",
    "to_user_id",
    "recipient_id",
    "status",
    "errors",
    "biz_opaque_callback_data",
    "pricing",
    "from_user_id",
]
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=40,
)
TYPES = st.sampled_from(["text", "image", "edit", "system", "reaction", "contacts", "1", ""])
OBJECTS = st.dictionaries(st.sampled_from(MESSAGE_KEYS), JSON | TYPES)
BODIES = JSON | st.builds(
    lambda messages, statuses, echoes, contacts, number: envelope(
        change(
            number=number,
            messages=messages,
            statuses=statuses,
            message_echoes=echoes,
            contacts=contacts,
        )
    ),
    st.lists(OBJECTS | JSON, max_size=4),
    st.lists(OBJECTS | JSON, max_size=4),
    st.lists(OBJECTS | JSON, max_size=4),
    st.lists(OBJECTS | JSON, max_size=2) | JSON,
    st.text(max_size=5),
)


@settings(max_examples=120, deadline=None)
@given(BODIES)
def test_any_signed_json_is_answered_and_no_part_is_lost(body: Any) -> None:
    raw = json.dumps(body).encode()
    world = World()

    answer = asyncio.run(world.post(raw))

    letters = world.letters()
    assert answer.status_code == 200
    assert "unexpected" not in {reason for reason, _ in letters}
    assert len(world.events()) + len(letters) == max(1, len(parse(raw)))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_any_signed_bytes_are_answered(raw: bytes) -> None:
    world = World()

    answer = asyncio.run(world.post(raw))

    assert answer.status_code == 200
    assert len(world.letters()) == 1
