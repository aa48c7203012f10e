"""The embedded stack for integration tests, started at most once per run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from streams.local.stack import Stack, StackOptions, running


class BackgroundStack:
    """A stack that lives in a thread of its own, so that every test may have its own loop."""

    def __init__(self, options: StackOptions) -> None:
        self._options = options
        self._started: Future[Stack] = Future()
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), daemon=True)

    def start(self) -> Stack:
        self._thread.start()
        return self._started.result()

    def stop(self) -> None:
        if self._loop and self._stop:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _live(self) -> None:
        try:
            async with running(self._options) as stack:
                self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
                self._started.set_result(stack)
                await self._stop.wait()
        except BaseException as exc:
            if self._started.done():
                raise
            self._started.set_exception(exc)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Real Kafka, registry, Postgres and Redis: `.kafka_bootstrap`, `.postgres_dsn` and so on."""
    home: Path = tmp_path_factory.mktemp("stack")
    background = BackgroundStack(StackOptions(home=home, own=False))
    try:
        yield background.start()
    finally:
        background.stop()


@pytest.fixture(scope="module")
def postgres_dsn(stack: Stack) -> str:
    """URL of a fresh, empty database with the extension ``vector``; one per test module."""
    name = f"test_{uuid4().hex}"

    async def create() -> None:
        server = await asyncpg.connect(stack.postgres_dsn)
        await server.execute(f'CREATE DATABASE "{name}"')
        await server.close()
        database = await asyncpg.connect(dsn)
        await database.execute("CREATE EXTENSION vector")
        await database.close()

    dsn = urlunsplit(urlsplit(stack.postgres_dsn)._replace(path=f"/{name}"))
    # In a thread: this fixture may be asked for while a test's own loop is running.
    thread = threading.Thread(target=lambda: asyncio.run(create()))
    thread.start()
    thread.join()
    return dsn
