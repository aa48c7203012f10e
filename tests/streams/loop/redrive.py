"""A redrive that kills itself -9 after a number of records: bootstrap, run, key, records."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterable

from streams.deadletters.redriving import Desk
from streams.kafka.publish import Publisher, Record
from tests.streams.loop.toy import Names


class Mortal(Publisher):
    """Dies in the middle of what it writes."""

    left = 0

    async def publish(self, records: Iterable[Record]) -> None:
        for record in records:
            await super().publish([record])
            self.left -= 1
            if self.left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


def desk_of(bootstrap: str, names: Names) -> Desk:
    """The desk of the toys' first stage."""
    inputs = (names.timer.name, names.inbox.name, names.answered.name)
    return Desk(bootstrap, topics=inputs, inputs={names.talk: inputs})


async def main(argv: list[str]) -> None:
    bootstrap, run, key, records = argv
    names = Names(run)
    desk = desk_of(bootstrap, names)
    mortal = Mortal(bootstrap, client_id="mortal")
    mortal.left = int(records)
    desk.publisher = mortal
    async with desk:
        await desk.look()
        await desk.redrive(names.talk, key.encode())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
