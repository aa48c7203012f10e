"""The servers of people and of WhatsApp, started while the registry is too busy to answer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from pydantic import SecretStr

from schemas.errors import Misconfigured, Unavailable
from streams import patience
from streams.api import serve as api
from streams.settings import Settings
from streams.webhook import serve as webhook

SECRET = SecretStr("0123456789abcdef" * 4)


@pytest.mark.parametrize(
    ("module", "opened"),
    [(webhook, webhook.opened), (api, api.application)],
    ids=["webhook", "api"],
)
async def test_a_server_asks_again_for_the_schemas(
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    opened: Callable[[Settings], AbstractAsyncContextManager[Any]],
) -> None:
    answers: list[Exception] = [Unavailable("registry"), Misconfigured("asked again")]

    async def open_codec(_: Settings) -> None:
        raise answers.pop(0)

    monkeypatch.setattr(patience, "RETRY_S", 0.0)
    monkeypatch.setattr(module, "open_codec", open_codec)
    settings = Settings(hash_key=SECRET, secrets_key=SECRET, api_token=SECRET)

    with pytest.raises(Misconfigured, match="asked again"):
        async with opened(settings):
            pass
