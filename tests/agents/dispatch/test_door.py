from __future__ import annotations

from typing import Any

import pytest

from agents.core.dispatch import decide
from schemas.changing import replace
from schemas.errors import Rejected
from schemas.events import (
    Position,
)
from tests.agents.dispatch.talk import (
    SETTINGS,
    T0,
    Talk,
    message,
)


def test_a_record_that_is_not_for_dispatch_is_rejected() -> None:
    with pytest.raises(Rejected, match="unexpected_record"):
        decide(
            None,
            SETTINGS,
            source=Position(topic="t", partition=0, offset=0),
            now_ms=T0,
            settings=SETTINGS,
        )


@pytest.mark.parametrize("other", [{"tenant_id": "b"}, {"conversation_id": "conv_1"}])
def test_an_event_of_another_conversation_is_rejected(other: dict[str, Any]) -> None:
    talk = Talk()
    talk.hear("w1")

    with pytest.raises(Rejected, match="wrong_conversation"):
        talk.apply(replace(message("w2"), **other))
