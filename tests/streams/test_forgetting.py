"""What is written, and in which order, when a conversation is forgotten."""

from __future__ import annotations

from streams.state.forgetting import Where, forget
from tests.streams.loop.fakes import FakePublisher


async def test_what_is_lost_is_forgotten_last_so_that_a_cut_is_found_again() -> None:
    publisher = FakePublisher()
    found = {
        "dispatch": Where.LOST,
        "ai": Where.NOWHERE,
        "tools": Where.AT_REST,
        "outbound": Where.LOST,
    }

    await forget(publisher, b"conv_1", found)

    sent = [record for record, _ in publisher.posted]
    stages = [record.topic.split(".")[1] for record in sent]
    assert stages == ["ai", "tools", "dispatch", "outbound"]
    assert {(record.key, record.value) for record in sent} == {(b"conv_1", None)}
