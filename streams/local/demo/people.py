"""A person of the company, as the people's API sees them."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import aiohttp

from schemas.errors import PipelineError, Unavailable
from streams.settings import Settings, require_secrets

AGENT_USER: Final = "marina"
TRIES: Final = 60
AGAIN_S: Final = 0.25
PASSING: Final = (404, 503)
"""Answers that may change: the transcripts are a little behind the topics."""


class People:
    """Takes conversations over and replies in them.

    Args:
        current: Where the API is, and its token.
        client: Where requests go out; the caller closes it.
    """

    def __init__(self, current: Settings, client: aiohttp.ClientSession) -> None:
        require_secrets(current, "api_token")
        self.client = client
        self.root = f"http://{current.http_host}:{current.api_port}"
        self.token = current.api_token.get_secret_value()

    async def take_over(self, conversation_id: str) -> None:
        """Take a conversation over.

        Raises:
            PipelineError: The API refuses.
            Unavailable: The API does not answer.
        """
        await self._post(
            f"/v1/conversations/{conversation_id}/takeover",
            {"agent_user": AGENT_USER, "reason": "demo"},
            f"takeover-{conversation_id}",
        )

    async def reply(self, conversation_id: str, text: str, request_id: str) -> None:
        """Reply in a conversation.

        Raises:
            PipelineError: The API refuses.
            Unavailable: The API does not answer.
        """
        await self._post(
            f"/v1/conversations/{conversation_id}/reply",
            {"agent_user": AGENT_USER, "text": text},
            request_id,
        )

    async def _post(self, path: str, body: dict[str, Any], request_id: str) -> None:
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": request_id}
        for _ in range(TRIES):
            try:
                async with self.client.post(self.root + path, json=body, headers=headers) as answer:
                    if answer.ok:
                        return
            except (aiohttp.ClientError, TimeoutError) as exc:
                raise Unavailable("api") from exc
            if answer.status not in PASSING:
                break
            await asyncio.sleep(AGAIN_S)
        raise PipelineError(f"the people's API answered {answer.status}")
