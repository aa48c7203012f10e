"""The outside world of a running stack, as load and demo see it: WhatsApp's side of the wire."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from schemas.errors import Unavailable
from streams.local.simulator.book import CALLBACK_PARTS
from streams.local.simulator.envelopes import SIGNATURE_HEADER, sign
from streams.local.stack import Crashed, StackOptions, running
from streams.local.stack.hold import holder, starting
from streams.local.stack.process import until
from streams.local.stack.stack import LOCK
from streams.local.stack.supervisor import Tell
from streams.settings import Settings, load, require_secrets

OK: Final = 200
TIMEOUT_S: Final = 15.0
TRIES: Final = 8
FIRST_DELAY_S: Final = 0.1
APP: Final = "simulator"
FAULTS: Final = (aiohttp.ClientError, TimeoutError)
TERMINATED: Final = 143
"""Exit status of a process that was asked to end, as shells give it."""


class Outside:
    """Posts webhooks as Meta does, and asks the simulator what it accepted.

    Args:
        current: Where everything is.
        client: Where requests go out; the caller closes it.
        by_simulator: Whether customers write through the simulator, so that its rules know of
            them and it can misbehave; else straight to the webhook, which costs less.
    """

    def __init__(
        self, current: Settings, client: aiohttp.ClientSession, *, by_simulator: bool = False
    ) -> None:
        require_secrets(current, "simulator_app_secret")
        self.client = client
        self.secret = current.simulator_app_secret.get_secret_value().encode()
        self.webhook = f"http://{current.http_host}:{current.webhook_port}/webhooks/whatsapp/{APP}"
        self.api = f"http://{current.http_host}:{current.api_port}"
        self.simulator = "{0.scheme}://{0.netloc}".format(urlsplit(current.whatsapp_api_url))
        if by_simulator:
            self.webhook = f"{self.simulator}/_simulator/webhook"
        self.repeated = 0

    async def post(self, body: bytes) -> None:
        """Post one signed body until it is answered with 200, as Meta does.

        Raises:
            Unavailable: It was refused every time.
        """
        headers = {SIGNATURE_HEADER: sign(self.secret, body), "Content-Type": "application/json"}
        for attempt in range(TRIES):
            with contextlib.suppress(*FAULTS):
                async with self.client.post(self.webhook, data=body, headers=headers) as answer:
                    if answer.status == OK:
                        return
            self.repeated += 1
            await asyncio.sleep(FIRST_DELAY_S * 2**attempt)
        raise Unavailable("webhook")

    async def book(self, after: int = 0) -> dict[str, Any]:
        """Return what the simulator accepted after a number, and its figures.

        Raises:
            Unavailable: It does not answer.
        """
        url = f"{self.simulator}/_simulator/messages"
        try:
            async with self.client.get(url, params={"after": str(after)}) as answer:
                answer.raise_for_status()
                found: dict[str, Any] = await answer.json()
        except FAULTS as exc:
            raise Unavailable("whatsapp") from exc
        return found


def conversation_of(callback_data: str) -> str:
    """Return the conversation that our callback data names; empty when it is none of ours."""
    parts = callback_data.split("|")
    return parts[2] if len(parts) == CALLBACK_PARTS else ""


@contextlib.asynccontextmanager
async def standing(home: Path, tell: Tell, *, own: bool = True) -> AsyncIterator[Settings]:
    """Lend a running stack: the one of the folder, or one that lives as long as the block.

    One that is starting is waited for.

    Args:
        home: Folder of the stack.
        tell: Told what it does.
        own: Whether a stack that is started here has our own processes as well.

    Raises:
        Crashed: A part of the own stack ended by itself; the block is cancelled then.
        PipelineError: It could not be started.
    """
    await until(lambda: not starting(home / LOCK))
    if holder(home / LOCK):
        yield load()
        return
    async with running(StackOptions(home=home, own=own), tell) as stack:
        crashed = asyncio.create_task(stack.crashed(), name="crashed")
        _cancelled_by(crashed)
        try:
            yield load()
        except asyncio.CancelledError:
            if crashed.done() and not crashed.cancelled():
                raise crashed.result() from None
            raise
        finally:
            crashed.cancel()


def _cancelled_by(crashed: asyncio.Task[Crashed]) -> None:
    """Cancel this task when a part crashes, or when the process is asked to end."""
    task = asyncio.current_task()
    if task is None:
        return

    def cancel(done: asyncio.Task[Crashed]) -> None:
        if not done.cancelled():
            task.cancel()

    crashed.add_done_callback(cancel)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)


@contextlib.asynccontextmanager
async def outside(
    current: Settings, connections: int, *, by_simulator: bool = False
) -> AsyncIterator[Outside]:
    """Open the outside of a running stack with kept-alive connections."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
    ) as client:
        yield Outside(current, client, by_simulator=by_simulator)
