"""Plays the demo on a running stack and judges it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from rich.console import Console
from rich.table import Table

from schemas.errors import PipelineError
from sinks.database import NAME, open_pool, reachable
from sinks.ports import Recorded
from streams.clock import open_clock
from streams.kafka.reading import Reading
from streams.kafka.registry import open_codec
from streams.local.demo.cast import Post, posts
from streams.local.demo.lines import STYLES, Lines
from streams.local.demo.people import People
from streams.local.demo.scene import Scene
from streams.local.demo.shop import TENANT
from streams.local.demo.verdict import customers_of, expected_rows, known_of, rows, verdict
from streams.local.demo.watch import Watch
from streams.local.load.checker import Violation
from streams.local.load.history import History, unfinished
from streams.local.load.run import accepted
from streams.local.outside import Outside, outside, standing
from streams.local.stack.supervisor import Tell
from streams.settings import Settings, home
from streams.story.trace import CONVERSATION_TOPICS

CONNECTIONS: Final = 8
PATIENCE_S: Final = 90.0
SETTLED_S: Final = 1.0
LOOK_S: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What was played.

    Attributes:
        posts: Every body, in the order of posting.
        known: What happened.
        stored: Rows of Postgres.
        violations: Everything that is not as it must be.
    """

    posts: list[Post]
    known: History
    stored: dict[str, int]
    violations: list[Violation]


async def demo(console: Console, tell: Tell) -> list[Violation]:
    """Start a stack unless one is up, play, print what happened, stop what was started.

    Raises:
        PipelineError: The stack could not be started or does not answer.
    """
    lines = Lines()

    def show(record: Recorded) -> None:
        style = STYLES.get(record.position.topic)
        console.print(
            lines.line(record), style=style, markup=False, highlight=False, soft_wrap=True
        )

    async with standing(home(), tell) as current, outside(current, CONNECTIONS) as world:
        played = await play(current, world, show)
    console.print(table(played))
    for line in summary(played):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return played.violations


async def play(current: Settings, world: Outside, show: Callable[[Recorded], None]) -> Played:
    """Play the recorded bodies and the scene, and judge what became of them."""
    clock = open_clock(current)
    run = f"{clock.now_ms():x}"
    reading = Reading(current.kafka_bootstrap, await open_codec(current))
    since = await reading.ends(CONVERSATION_TOPICS)
    before = int((await world.book())["last"])
    watch = Watch(reading, show)
    await watch.start(since)
    try:
        people = People(current, world.client)
        scene = Scene(world=world, watch=watch, people=people, clock=clock, run=run)
        made = posts(run)
        await asyncio.gather(_post(world, made), scene.play())
        every = [*made, *scene.posts]
        await _until_quiet(watch, every)
        known = known_of(every, watch.records, accepted(await world.book(before)))
    finally:
        await watch.stop()
    stored = await _stored(current, known)
    return Played(
        posts=every,
        known=known,
        stored=stored,
        violations=verdict(known, scene.missing, stored),
    )


async def _post(world: Outside, made: list[Post]) -> None:
    """Post one after the other: the order of a customer's messages is that of the files."""
    for post in made:
        await world.post(post.body)


async def _until_quiet(watch: Watch, every: list[Post]) -> None:
    """Wait until every message has an outcome, every bubble has settled, and nothing comes."""
    wamids = [message.wamid for post in every for message in post.sent]
    deadline = time.monotonic() + PATIENCE_S
    count, since = -1, time.monotonic()
    while time.monotonic() < deadline:
        if len(watch.records) != count:
            count, since = len(watch.records), time.monotonic()
        elif time.monotonic() - since > SETTLED_S:
            if not unfinished(known_of(every, watch.records, ()), wamids):
                return
            since = time.monotonic()
        await asyncio.sleep(LOOK_S)


async def _stored(current: Settings, known: History) -> dict[str, int]:
    """Return the rows of this run's conversations, once they are all there or time is over."""
    text = files("streams.local.demo").joinpath("rows.sql").read_text("utf-8")
    query = NAME.sub("", text)
    wanted = expected_rows(known)
    pool = await open_pool(current.postgres_dsn.get_secret_value(), name="whaticket.demo")
    deadline = time.monotonic() + PATIENCE_S / 3
    try:
        while True:
            with reachable():
                row = await pool.fetchrow(query, TENANT, *customers_of(known))
            if row is None:
                raise PipelineError("postgres answers nothing")
            found = {name: int(value) for name, value in row.items()}
            if time.monotonic() > deadline or all(found[n] == w for n, w in wanted.items()):
                return found
            await asyncio.sleep(LOOK_S)
    finally:
        await pool.close()


def table(played: Played) -> Table:
    """Return the table of every inbound message and its outcome."""
    shown = Table("message", "outcome", "why", "bubbles", title="every inbound message")
    for row in rows(played.posts, played.known):
        shown.add_row(row.name, row.outcome, row.reason, str(row.bubbles))
    return shown


def summary(played: Played) -> list[str]:
    """Return the last lines."""
    known = played.known
    stored = ", ".join(f"{name} {count}" for name, count in played.stored.items())
    lines = [
        (
            f"{len({m.wamid for m in known.sent})} inbound messages,"
            f" {len(known.accepted)} bubbles accepted by the simulator,"
            f" {len(known.requested)} asked for"
        ),
        f"rows in Postgres of this run: {stored}",
    ]
    if not played.violations:
        return [*lines, "every message has exactly one outcome, every bubble was sent once"]
    return [*lines, *(f"WRONG {v.rule}: {v.about}: {v.detail}" for v in played.violations)]
