"""What an operator redrives while something else brings conversations back as well."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import typer

from schemas.changing import replace
from schemas.errors import Misconfigured
from schemas.events import Position
from streams.cli import dlq
from streams.clock import WallClock
from streams.deadletters.letters import Flags, Letter
from streams.deadletters.redriving import End, Result
from streams.kafka import registry
from streams.kafka.publish import Record
from streams.state.parking import Parking

KEYS = (b"conv_1", b"conv_2", b"conv_3")


def letter(key: bytes, **more: Any) -> Letter:
    return replace(LETTER, key=key, parking_id=key.decode(), **more)


LETTER = Letter(
    position=Position(topic="in.box.dlq", partition=0, offset=1),
    original=Position(topic="in.box", partition=0, offset=9),
    original_ms=0,
    key=b"",
    value=b"bytes",
    headers=(),
    stage="dispatch",
    group="g",
    reason="bug",
    detail="",
    attempts=5,
    first_failed_ms=1,
    parking_id="",
    number=1,
    epoch=1,
)


class Publisher:
    def __init__(self) -> None:
        self.posted: list[Record] = []

    async def start(self) -> None:
        pass

    async def publish(self, records: Iterable[Record]) -> None:
        self.posted += records


class Desk:
    """Three parked conversations; the second goes on by itself while the first is redriven."""

    def __init__(self) -> None:
        self.letters = [letter(key) for key in KEYS]
        self.flags: Flags = {("dispatch", key): Parking(key.decode(), "bug", 0) for key in KEYS}
        self.every: list[Letter] = []
        self.hidden: dict[tuple[str, bytes], Parking] = {}
        self.redriven: list[bytes] = []
        self.publisher = Publisher()

    async def look(self, *more: tuple[str, bytes, int]) -> None:
        self.find(*((stage, key) for stage, key, _ in more))

    async def search(self, stages: Iterable[str]) -> None:
        self.find(*(whose for whose in self.hidden if whose[0] in set(stages)))

    def find(self, *owners: tuple[str, bytes]) -> None:
        found = {whose: self.hidden[whose] for whose in owners if whose in self.hidden}
        self.flags = {**self.flags, **found}

    async def partition_of(self, _: bytes) -> int:
        return 3

    async def redrive(self, stage: str, key: bytes, **_: Any) -> Result:
        self.redriven.append(key)
        if flag := self.hidden.get((stage, key)):
            return Result(End.LOST, 0, flag)
        gone = {(stage, key), (stage, b"conv_2")}
        self.flags = {whose: flag for whose, flag in self.flags.items() if whose not in gone}
        return Result(End.RESUMED, 1, None)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    found = Desk()

    def at_desk(run: Callable[[Any], Awaitable[Any]]) -> Any:
        async def work() -> Any:
            return await run(found)

        return asyncio.run(work())

    monkeypatch.setattr(dlq, "_at_desk", at_desk)
    return found


def test_a_conversation_that_went_on_meanwhile_holds_back_no_other(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    dlq.redrive(execute=True)

    assert desk.redriven == [b"conv_1", b"conv_3"]
    assert "conv_2 goes on already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("older", "back"), [(False, [b"new", b"sink"]), (True, [b"new", b"old", b"sink"])]
)
def test_what_a_stage_may_have_decided_and_forgotten_since_goes_back_only_when_it_is_asked_for(
    desk: Desk, capsys: pytest.CaptureFixture[str], older: bool, back: list[bytes]
) -> None:
    """A letter does not say whether it came back before: a message would be answered twice."""
    now_ms, day_ms = WallClock().now_ms(), 86_400_000
    desk.flags = {}
    desk.letters = [
        letter(b"new", number=0, first_failed_ms=now_ms - 6 * day_ms),
        letter(b"old", number=0, first_failed_ms=now_ms - 8 * day_ms),
        letter(b"sink", number=0, first_failed_ms=now_ms - 20 * day_ms, stage="transcripts"),
    ]

    dlq.redrive(alone=True, older=older, execute=True)

    assert sorted(record.key or b"" for record in desk.publisher.posted) == back
    assert ("--older" in capsys.readouterr().out) is not older


def test_a_letter_without_its_record_is_never_written_back_as_an_empty_one(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.flags = {}
    desk.letters = [letter(b"conv_1", number=0, value=b"", left_out=5_000_000, first_failed_ms=1)]

    dlq.redrive(alone=True, older=True, execute=True)

    said = capsys.readouterr().out
    assert desk.publisher.posted == []
    assert "left out: in.box[0]@9 is too large for its letter" in said
    assert "nothing can be written back" in said


def test_no_empty_file_is_saved_of_a_letter_without_its_record(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_codec(_: object) -> None:
        """Open nothing."""

    monkeypatch.setattr(registry, "open_codec", no_codec)
    desk.every = [letter(b"conv_1", value=b"", left_out=5_000_000)]

    with pytest.raises(Misconfigured, match=r"5000000 bytes.*in\.box\[0\]@9"):
        dlq.show("in.box.dlq[0]@1", save=tmp_path / "value")

    assert not (tmp_path / "value").exists()


OLD = Parking("in.box/0/4", "too_large", 1_700_000_000_000, last=3, next=2)


def parked_long_ago(desk: Desk) -> None:
    """Nothing but the changelogs tell of it any more."""
    desk.letters = []
    desk.flags = {}
    desk.hidden = {("dispatch", b"conv_9"): OLD}


@pytest.mark.parametrize(
    ("asked", "listed"),
    [
        ({}, False),  # all of the tables would be read
        ({"conversation": "conv_9"}, True),
        ({"gone": True}, True),
        ({"gone": True, "stage": "dispatch", "reason": "too_large"}, True),
        ({"gone": True, "topic": "in.box"}, True),
        ({"gone": True, "stage": "outbound"}, False),
        ({"gone": True, "stage": "transcripts"}, False),
        ({"gone": True, "conversation": "conv_8"}, False),
        ({"gone": True, "reason": "bug"}, False),
        ({"gone": True, "topic": "timer"}, False),
    ],
)
def test_a_parked_conversation_is_listed_though_its_letters_are_gone(
    desk: Desk, capsys: pytest.CaptureFixture[str], asked: dict[str, Any], listed: bool
) -> None:
    """Else it stays parked for ever, and nobody can say which one it is."""
    parked_long_ago(desk)

    dlq.list_letters(**asked)

    since = "2023-11-14T22:13:20+00:00"
    row = ["dispatch", "conv_9", "2", "waiting", "too_large", "-", since, "gone"]
    assert capsys.readouterr().out.split() == (row if listed else [])


def test_a_parked_conversation_whose_next_letter_is_there_is_listed_once(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    dlq.list_letters(gone=True)

    assert len(capsys.readouterr().out.splitlines()) == len(desk.flags)


def test_a_redrive_of_a_conversation_says_that_its_letters_are_gone(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    parked_long_ago(desk)

    with pytest.raises(typer.Exit):
        dlq.redrive(conversation="conv_9", execute=True)

    said = capsys.readouterr().out
    assert "numbers 2 to 3 wait" in said
    assert "the letter of number 2 is gone: only `dlq drop` helps" in said
