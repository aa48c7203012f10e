"""A person's command whose end is not known can be given again, and counts once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from schemas.errors import Misconfigured, Unavailable
from streams.cli import build
from streams.settings import Settings

ASKED = ("reply", "conv_1", "Oi!")
Answer = Callable[[], httpx.Response]


class Api:
    """The people's API, as it answers once."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.keys: list[str] = []

    def request(self, *_: Any, headers: dict[str, str], **__: Any) -> httpx.Response:
        self.keys.append(headers["idempotency-key"])
        return self.answer()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer], Api]:
    monkeypatch.setattr("streams.settings.settings", lambda: Settings(api_token=SecretStr("t")))

    def serve(answer: Answer) -> Api:
        api = Api(answer)
        monkeypatch.setattr(httpx, "request", api.request)
        return api

    return serve


def waited_for_kafka() -> httpx.Response:
    return httpx.Response(503, json={"error": "unavailable", "service": "kafka"})


def waited_for_postgres() -> httpx.Response:
    return httpx.Response(503, json={"error": "unavailable", "service": "postgres"})


def cut_off() -> httpx.Response:
    raise httpx.ReadTimeout("")


def nobody() -> httpx.Response:
    raise httpx.ConnectError("")


@pytest.mark.parametrize("answer", [waited_for_kafka, cut_off])
def test_what_may_have_been_done_says_how_to_ask_for_the_same_again(
    serve: Callable[[Answer], Api], answer: Answer
) -> None:
    api = serve(answer)

    first = CliRunner().invoke(build(), ASKED)
    again = CliRunner().invoke(build(), [*ASKED, "--key", api.keys[0]])

    assert isinstance(first.exception, Unavailable | Misconfigured)
    assert f"ask again with --key {api.keys[0]}\n" in first.stderr
    assert again.stderr == first.stderr
    assert len(set(api.keys)) == 1


@pytest.mark.parametrize("answer", [waited_for_postgres, nobody])
def test_what_was_not_done_says_nothing_of_a_key(
    serve: Callable[[Answer], Api], answer: Answer
) -> None:
    serve(answer)

    assert "--key" not in CliRunner().invoke(build(), ASKED).stderr
