"""What people may ask over HTTP, they may ask on the command line."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from typer.main import get_command
from typer.testing import CliRunner

from streams.api.routes import CONTROLS, TAGS
from streams.cli import build
from streams.settings import Settings


def test_every_command_of_the_api_is_a_command() -> None:
    known: Any = get_command(build())

    assert {str(command) for command in (*CONTROLS, *TAGS)} | {"reply", "pause"} <= set(
        known.commands
    )


def test_a_conversation_that_a_flood_has_parked_is_unparked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def request(_: str, url: str, **__: Any) -> httpx.Response:
        asked.append(url)
        return httpx.Response(202, json={"event_id": "e1", "conversation_id": "conv_1"})

    monkeypatch.setattr("streams.settings.settings", lambda: Settings(api_token=SecretStr("t")))
    monkeypatch.setattr(httpx, "request", request)

    done = CliRunner().invoke(build(), ["unpark", "conv_1"])

    assert (done.exit_code, done.stdout) == (0, "e1\n")
    assert asked[0].endswith("/v1/conversations/conv_1/unpark")
