"""Run a stack until somebody asks it to stop, or a part of it ends by itself."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable

from streams.local.stack.options import StackOptions
from streams.local.stack.stack import Stack, running
from streams.local.stack.supervisor import Tell

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def stay_up(options: StackOptions, tell: Tell, announce: Callable[[Stack], None]) -> None:
    """Keep a stack up; return when a signal asked for its end and everything has stopped.

    Raises:
        Crashed: A part ended by itself; everything else has been stopped.
        PipelineError: The stack could not be started.
    """
    life = asyncio.create_task(_live(options, tell, announce))
    asked = False

    def ask() -> None:
        # Asking again changes nothing: the parts are given their time, then killed.
        nonlocal asked
        if not asked:
            asked = True
            life.cancel()

    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, ask)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await life
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


async def _live(options: StackOptions, tell: Tell, announce: Callable[[Stack], None]) -> None:
    async with running(options, tell) as stack:
        announce(stack)
        raise await stack.crashed()
