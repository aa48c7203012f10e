"""A sink that keeps what it is given, and its runner."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from schemas.errors import Rejected
from schemas.events import MessageReceived
from sinks.ports import Recorded
from streams.kafka.publish import Publisher
from streams.settings import Settings
from streams.sinking import SinkRunner
from tests.streams.loop.toy import JsonCodec, Names, toy_settings


@dataclass
class Shelf:
    """A sink that keeps what it is given, or fails; some texts take time."""

    batches: list[list[str]] = field(default_factory=list)
    down: list[Exception] = field(default_factory=list)
    hated: frozenset[str] = frozenset()

    async def write(self, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            text = getattr(recorded.event, "text", None) or ""
            if text.startswith("wait "):
                await asyncio.sleep(float(text[5:]))
        if self.down:
            raise self.down.pop()
        wamids = [r.event.wamid for r in batch if isinstance(r.event, MessageReceived)]
        if self.hated & set(wamids):
            raise Rejected("no_good")
        self.batches.append(wamids)

    def kept(self) -> list[str]:
        return [wamid for batch in self.batches for wamid in batch]


def group_of(names: Names) -> str:
    return f"toy.{names.run}.shelf"


def sink_of(
    shelf: Shelf,
    names: Names,
    publisher: Publisher,
    bootstrap: str,
    settings: Settings | None = None,
) -> SinkRunner:
    return SinkRunner(
        shelf,
        (names.inbox,),
        group_of(names),
        settings=settings or toy_settings(bootstrap),
        codec=JsonCodec(),
        publisher=publisher,
    )
