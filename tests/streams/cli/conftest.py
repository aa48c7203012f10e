"""The command line over the embedded stack, with a database of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from streams.settings import Settings


@dataclass
class CommandLine:
    """Runs ``whaticket`` as its users do."""

    environment: dict[str, str]

    async def run(self, *arguments: str, stdin: str = "") -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "streams", *arguments),
            env=self.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(120):
            said, _ = await process.communicate(stdin.encode())
        assert process.returncode is not None
        return process.returncode, said.decode()

    @asynccontextmanager
    async def serving(self, *arguments: str) -> AsyncIterator[str]:
        """Run a server until the end of the block; yields the first line it says."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "streams", *arguments),
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(120):
                yield (await process.stdout.readline()).decode()
        finally:
            process.terminate()
            await process.communicate()
        assert process.returncode == 0


@pytest.fixture
def whaticket(provisioned: Settings, postgres_dsn: str) -> CommandLine:
    given = provisioned.model_dump(mode="python")
    environment = {
        name.upper(): str(value.get_secret_value() if hasattr(value, "get_secret_value") else value)
        for name, value in given.items()
    }
    return CommandLine({"PATH": os.defpath, **environment, "POSTGRES_DSN": postgres_dsn})
