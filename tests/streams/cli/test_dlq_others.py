"""What an operator redrives while something else brings conversations back as well."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from schemas.events import Position
from streams.cli import dlq
from streams.deadletters.letters import Flags, Letter
from streams.deadletters.redriving import End, Result
from streams.state.parking import Parking

KEYS = (b"conv_1", b"conv_2", b"conv_3")


def letter(key: bytes) -> Letter:
    return Letter(
        position=Position(topic="in.box.dlq", partition=0, offset=1),
        original=Position(topic="in.box", partition=0, offset=9),
        original_ms=0,
        key=key,
        value=b"bytes",
        headers=(),
        stage="dispatch",
        group="g",
        reason="bug",
        detail="",
        attempts=5,
        first_failed_ms=1,
        parking_id=key.decode(),
        number=1,
        epoch=1,
    )


class Desk:
    """Three parked conversations; the second goes on by itself while the first is redriven."""

    def __init__(self) -> None:
        self.letters = [letter(key) for key in KEYS]
        self.flags: Flags = {("dispatch", key): Parking(key.decode(), "bug", 0) for key in KEYS}
        self.redriven: list[bytes] = []

    async def redrive(self, stage: str, key: bytes, **_: Any) -> Result:
        self.redriven.append(key)
        gone = {(stage, key), (stage, b"conv_2")}
        self.flags = {whose: flag for whose, flag in self.flags.items() if whose not in gone}
        return Result(End.RESUMED, 1, None)


def test_a_conversation_that_went_on_meanwhile_holds_back_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = Desk()

    def at_desk(run: Callable[[Any], Awaitable[Any]]) -> Any:
        async def work() -> Any:
            return await run(desk)

        return asyncio.run(work())

    monkeypatch.setattr(dlq, "_at_desk", at_desk)

    dlq.redrive(execute=True)

    assert desk.redriven == [b"conv_1", b"conv_3"]
    assert "conv_2 goes on already" in capsys.readouterr().out
