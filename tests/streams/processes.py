"""Our processes, started as operators start them."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from streams.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process that serves HTTP.

    Attributes:
        url: Where it listens.
        process: The process.
        log: The file that it logs to.
        env: Its whole environment.
    """

    url: str
    process: subprocess.Popen[str]
    log: Path
    env: Mapping[str, str]

    async def whaticket(self, *words: str) -> tuple[int | None, str]:
        """Run a command beside it; returns the exit status and what was said."""
        command = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "streams", *words),
            env=self.env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await command.communicate()
        return command.returncode, output.decode()


def environment(settings: Settings, postgres_dsn: str) -> dict[str, str]:
    """Return the environment of a process that uses these parts, on any free port."""
    return {
        "KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "SCHEMA_REGISTRY_URL": settings.schema_registry_url,
        "POSTGRES_DSN": postgres_dsn,
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "HASH_KEY": settings.hash_key.get_secret_value(),
        "SECRETS_KEY": settings.secrets_key.get_secret_value(),
        "API_TOKEN": settings.api_token.get_secret_value(),
        "WEBHOOK_PORT": "0",
        "INSTANCE": "0",
        "API_PORT": "0",
        "PATH": os.environ["PATH"],  # noqa: TID251 - a child process needs it
    }


@contextmanager
def started(command: str, env: Mapping[str, str], log: Path) -> Iterator[Process]:
    """Run ``whaticket <command>`` until the block ends; it says where it listens."""
    with log.open("w") as errors:
        child = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "streams", command],
            env=dict(env),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert child.stdout is not None
    try:
        found = re.search(r"http://\S+", child.stdout.readline())
        assert found, log.read_text()
        yield Process(url=found[0], process=child, log=log, env=env)
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
        child.wait(30)
        child.stdout.close()
