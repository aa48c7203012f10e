from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import pytest

from schemas.events import BubbleState, MessageKind, Phase
from sinks.changes import Changes
from sinks.conversations import Conversations
from sinks.transcripts import Transcripts
from streams.api.app import rest, with_feed
from streams.api.feed import HelpdeskFeed
from streams.api.rooms import feed_server
from streams.api.routes import Desk
from streams.api.tokens import Watcher, mint
from streams.server.serving import server_of
from tests.sinks.stories import Story
from tests.streams.api.conftest import BEARER, Clock, Log

pytestmark = pytest.mark.integration

KEY = b"the-key-that-signs-the-tokens-of-the-feed"
SCRIPT = Path(__file__).parent / "console.js"
DEADLINE_S = 30.0


class Stack(Protocol):
    """What these tests need of the embedded stack."""

    @property
    def redis_url(self) -> str: ...


class Node(Protocol):
    """Runs scripts with the packages of npm."""

    @property
    def env(self) -> dict[str, str]: ...
    def command(self, script: Path, *arguments: str) -> list[str]: ...


@dataclass
class Console:
    """A console in a process of Node: what it was told so far."""

    process: asyncio.subprocess.Process
    told: list[tuple[str, Any]] = field(default_factory=list)

    async def until(self, done: Callable[[list[tuple[str, Any]]], bool]) -> list[tuple[str, Any]]:
        """Read until the condition holds; what was told then."""
        assert self.process.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            while not done(self.told):
                line = await self.process.stdout.readline()
                assert line, f"the console ended after {self.told}"
                event, body = json.loads(line)
                self.told.append((event, body))
        return self.told

    async def has(self, event: str, action: str) -> Any:
        """Wait for an event with an action; its body."""

        def matching(told: list[tuple[str, Any]]) -> list[Any]:
            return [body for name, body in told if name == event and body["action"] == action]

        return matching(await self.until(lambda told: bool(matching(told))))[0]


@dataclass
class Helpdesk:
    """The API and its feed on real sockets, and the transcripts that feed it."""

    address: str
    pool: asyncpg.Pool
    node: Node
    feed: HelpdeskFeed

    @property
    def transcripts(self) -> Transcripts:
        return Transcripts(self.pool, self.feed)

    @asynccontextmanager
    async def console(
        self,
        *joins: tuple[str, ...],
        tenant_id: str = "acme",
        user: str = "1",
        admin: bool = True,
        token: str | None = None,
    ) -> AsyncIterator[Console]:
        company = await self.pool.fetchval(
            "SELECT company FROM tenants WHERE tenant_id = $1", tenant_id
        )
        watcher = Watcher(user=user, company=company, admin=admin)
        expires_at_s = time.clock_gettime_ns(time.CLOCK_REALTIME) // 10**9 + 600
        given = mint(watcher, KEY, expires_at_s=expires_at_s) if token is None else token
        process = await asyncio.create_subprocess_exec(
            *self.node.command(SCRIPT, self.address, given, json.dumps(joins)),
            env=self.node.env,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            yield Console(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    async def joined(self, console: Console, joins: int) -> None:
        """Wait until the server has handled a console's joins: it answers in order."""
        await console.until(lambda told: ("ready", None) in told)
        async with asyncio.timeout(DEADLINE_S):
            while sum(s.joined.total() for s in self.sockets.values()) < joins:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.01)

    sockets: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
async def helpdesk(
    pool: asyncpg.Pool, stack: Stack, node_project: Node, log: Log, clock: Clock
) -> AsyncIterator[Helpdesk]:
    conversations = Conversations(pool)

    async def checks() -> dict[str, bool]:
        return {}

    app = rest(
        Desk(conversations, log.publish, clock=clock, timeout_s=1), token=BEARER, checks=checks
    )
    server, rooms = feed_server(stack.redis_url, conversations, KEY)
    listening = socket.create_server(("127.0.0.1", 0))
    listener = server_of(with_feed(app, server), websockets=True)
    task = asyncio.create_task(listener.serve(sockets=[listening]))
    feed = HelpdeskFeed(pool, stack.redis_url)
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    yield Helpdesk(address, pool, node_project, feed, rooms.sockets)
    await feed.stop()
    listener.should_exit = True
    await task
    await rooms.close()


async def test_a_console_sees_a_conversation_go_from_the_ai_to_a_person(
    helpdesk: Helpdesk,
) -> None:
    story = Story(name="ana")
    joins = [("joinTickets", "pending"), ("joinTickets", "open"), ("joinNotification",)]
    async with helpdesk.console(*joins) as console:
        await helpdesk.joined(console, 3)
        await helpdesk.transcripts.write([story.said("m1", "oi", 0)])
        created = await console.has("company-1-appMessage", "create")
        await helpdesk.transcripts.write([story.step(Phase.WITH_HUMAN, 5, unread=1)])
        await console.has("company-1-ticket", "update")
        await helpdesk.transcripts.write(
            [story.step(Phase.WITH_HUMAN, 9, agent_user="7", owner="human")]
        )
        deleted = await console.has("company-1-ticket", "delete")
        told = await console.until(
            lambda told: sum(name == "company-1-ticket" for name, _ in told) == 3
        )

    ticket_id = created["ticket"]["id"]
    assert isinstance(ticket_id, int)
    assert (created["message"]["id"], created["message"]["ticketId"]) == ("m1", ticket_id)
    assert created["ticket"]["lastMessage"] == "oi"
    assert created["contact"]["name"] == "Maria"
    assert deleted == {"action": "delete", "ticketId": ticket_id}
    tickets = [body for name, body in told if name == "company-1-ticket"]
    assert [body["action"] for body in tickets] == ["update", "delete", "update"]
    after = tickets[-1]["ticket"]
    assert (after["status"], after["userId"], after["chatbot"]) == ("open", 7, False)


async def test_what_becomes_of_a_bubble_is_told_in_its_ticket(helpdesk: Helpdesk) -> None:
    story = Story(name="bia")
    await helpdesk.transcripts.write(
        [
            story.said("m2", "tem 38?", 0),
            story.bubble("b1", BubbleState.PLANNED, 5, attempt=0, text="Temos!"),
        ]
    )
    ticket_id = await helpdesk.pool.fetchval(
        "SELECT id FROM tickets WHERE conversation_id = $1", story.conversation_id
    )
    async with helpdesk.console(("joinChatBox", str(ticket_id))) as console:
        await helpdesk.joined(console, 1)
        await helpdesk.transcripts.write(
            [story.bubble("b1", BubbleState.READ, 9, wamid="w1", requested=5)]
        )
        read = await console.has("company-1-appMessage", "update")
        console.told.clear()
        edit = story.said("m3", "tem 39?", 12, kind=MessageKind.EDIT, target_wamid="m2")
        await helpdesk.transcripts.write([edit])
        edited = await console.has("company-1-appMessage", "update")

    assert {
        name: read["message"][name] for name in ("id", "ack", "fromMe", "body", "mediaType")
    } == {
        "id": "b1",
        "ack": 4,
        "fromMe": True,
        "body": "Temos!",
        "mediaType": "conversation",
    }
    assert (edited["message"]["id"], edited["message"]["body"], edited["message"]["isEdited"]) == (
        ("m2", "tem 39?", True)
    )


async def test_a_company_never_sees_another_ones_tickets(helpdesk: Helpdesk) -> None:
    ours, theirs = Story(name="caio"), Story(tenant_id="other", name="caio")
    await Transcripts(helpdesk.pool).write([ours.said("m1", "segredo", 0)])
    ticket_id = await helpdesk.pool.fetchval(
        "SELECT id FROM tickets WHERE conversation_id = $1", ours.conversation_id
    )
    joins = [
        ("joinChatBox", str(ticket_id)),  # refused: not theirs
        ("joinTickets", "pending"),
        ("joinTickets", "../company-1-pending"),  # refused: no status
        ("joinNotification",),
    ]
    async with helpdesk.console(*joins, tenant_id="other") as console:
        await helpdesk.joined(console, 2)
        await helpdesk.transcripts.write(
            [ours.said("m2", "segredo", 1), theirs.said("m9", "oi", 1)]
        )
        created = await console.has("company-2-appMessage", "create")

    assert created["message"]["id"] == "m9"
    assert "segredo" not in str(console.told)
    assert not any(name.startswith("company-1") for name, _ in console.told)


async def test_who_is_no_admin_sees_what_waits_and_what_is_theirs(helpdesk: Helpdesk) -> None:
    story, own = Story(name="duda"), Story(name="eva")
    joins = [("joinTickets", "open"), ("joinTickets", "pending")]
    async with helpdesk.console(*joins, user="7", admin=False) as console:
        await helpdesk.joined(console, 1)
        await helpdesk.transcripts.write(
            [story.step(Phase.WITH_HUMAN, 0, agent_user="8"), own.step(Phase.WITH_HUMAN, 1)]
        )
        await helpdesk.transcripts.write([own.step(Phase.WITH_HUMAN, 2, agent_user="7")])
        told = await console.until(lambda told: any(_status(body) == "open" for _, body in told))

    opened = [body["ticket"]["uuid"] for _, body in told if _status(body) == "open"]
    assert opened == [own.conversation_id]


def _status(body: Any) -> str | None:
    return body["ticket"]["status"] if isinstance(body, dict) and "ticket" in body else None


@pytest.mark.parametrize("token", ["", "nonsense", "e30.e30.e30"])
async def test_a_bad_token_is_disconnected_after_it_connected(
    helpdesk: Helpdesk, token: str
) -> None:
    async with helpdesk.console(("joinNotification",), token=token) as console:
        told = await console.until(lambda told: any(name == "disconnect" for name, _ in told))

    assert told == [("connect", None), ("disconnect", "io server disconnect")]


async def test_an_expired_token_or_one_of_another_key_lets_nobody_in(helpdesk: Helpdesk) -> None:
    watcher = Watcher(user="1", company=1, admin=True)
    for token in (mint(watcher, KEY, expires_at_s=1), mint(watcher, b"x" * 32, expires_at_s=2**31)):
        async with helpdesk.console(token=token) as console:
            told = await console.until(lambda told: any(n == "disconnect" for n, _ in told))
        assert ("ready", None) not in told


async def test_redis_that_is_down_holds_up_no_transcript(pool: asyncpg.Pool) -> None:
    feed = HelpdeskFeed(pool, "redis://127.0.0.1:1/0")
    story = Story(name="fabi")
    await Transcripts(pool, feed).write([story.said("m1", "oi", 0)])
    written = await pool.fetchval(
        "SELECT count(*) FROM messages WHERE conversation_id = $1", story.conversation_id
    )
    await feed.stop()

    assert written == 1


async def test_the_queue_of_the_feed_is_bounded(pool: asyncpg.Pool) -> None:
    feed = HelpdeskFeed(pool, "redis://127.0.0.1:1/0", most=3)
    for number in range(10):
        await feed.publish(Changes(moved={("acme", str(number)): ("open", None)}))

    waiting = [next(iter(changes.moved)) for changes in feed.waiting]
    await feed.stop()
    assert waiting == [("acme", "7"), ("acme", "8"), ("acme", "9")]
