"""`whaticket replay` of what is not there is no success."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from streams.cli import build
from streams.replay import whole
from streams.replay.whole import Replayed
from streams.story.tracing import NotOnTheLog


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    async def replay(*_: object) -> Replayed:
        return Replayed()

    monkeypatch.setattr(whole, "replay", replay)
    monkeypatch.setattr("streams.logs.configure", lambda *_, **__: None)


def test_a_conversation_that_is_not_on_the_topics_is_told() -> None:
    done = CliRunner().invoke(build(), ["replay", "--check", "--conversation", "conv_typo"])

    assert isinstance(done.exception, NotOnTheLog)
    assert str(done.exception) == "nothing is on the topics of conv_typo"


def test_topics_on_which_nothing_is_yet_have_no_difference() -> None:
    done = CliRunner().invoke(build(), ["replay", "--check"])

    assert (done.exit_code, "0 differences" in done.stdout) == (0, True)


def test_topics_of_which_nothing_can_be_read_are_not_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def replay(*_: object) -> Replayed:
        return Replayed(unreadable=7)

    monkeypatch.setattr(whole, "replay", replay)

    done = CliRunner().invoke(build(), ["replay", "--check"])

    assert (done.exit_code, "7 records left out: they cannot be read" in done.stdout) == (1, True)
