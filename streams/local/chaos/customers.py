"""Plays what customers and people do, and writes down every answer that they got."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, assert_never

import aiohttp
import orjson

from agents.ports import Clock
from schemas.ids import keyed
from streams.local.chaos.facts import Asked, Posted
from streams.local.chaos.workload import Act, Ask, Crowd, Write
from streams.local.demo.shop import NUMBER, TENANT
from streams.local.load.plan import message_object
from streams.local.outside import FAULTS, OK, Outside
from streams.local.simulator.envelopes import SIGNATURE_HEADER, received, sign
from streams.local.stack.together import together
from streams.settings import Settings
from streams.webhook.serve import hash_key

ACCEPTED: Final = 202
PASSING: Final = (0, 404, 429, 500, 502, 503, 504)
"""Answers after which the same is asked again: the other side is away, or a little behind."""
RELAYED: Final = (200, 502)
"""Answers of the simulator that tell what our webhook answered."""
FIRST_WAIT_S: Final = 0.2
LONGEST_WAIT_S: Final = 2.0
PERSON_S: Final = 120.0
"""How long a person goes on trying, at most: those who wait for them write later. The longest
outage of a schedule takes a minute, and more on a busy machine."""
AGENT_USER: Final = "marina"
REPLY: Final = "Aqui é a Marina, já estou vendo o seu caso."


class Customers:
    """Everybody outside, in one run.

    Args:
        current: Where the webhook and the API are, and their secrets.
        world: The way to them.
        clock: Tells the time.
        crowd: Who they are.
        patience_s: How long one of them goes on trying.
        by_simulator: Whether their messages go through the simulator, so that it can misbehave.

    Attributes:
        begun: Messages whose first attempt was made.
        posted: What was posted.
        asked: What people asked.
        refused: Answers other than 200, by status.
    """

    def __init__(
        self,
        current: Settings,
        world: Outside,
        clock: Clock,
        crowd: Crowd,
        *,
        patience_s: float,
        by_simulator: bool = False,
    ) -> None:
        self.world = world
        self.clock = clock
        self.crowd = crowd
        self.patience_s = patience_s
        self.relay = f"{world.simulator}/_simulator/webhook" if by_simulator else ""
        self.key = hash_key(current)
        self.token = current.api_token.get_secret_value()
        self.begun = 0
        self.posted: list[Posted] = []
        self.asked: list[Asked] = []
        self.refused: Counter[str] = Counter()

    async def play(self, plan: Sequence[Sequence[Act]]) -> None:
        """Play all of it: many conversations at once, each one in order."""
        began = time.monotonic()
        await together(self._conversation(acts, began) for acts in plan)

    def conversation_of(self, customer: str) -> str:
        """Return the conversation of a customer who was never seen under another name."""
        return keyed("conv", self.key, TENANT, NUMBER, f"wa:{customer}")

    def conversations(self) -> set[str]:
        """Return the conversations of those who wrote."""
        return {self.conversation_of(posted.customer) for posted in self.posted}

    async def _conversation(self, acts: Sequence[Act], began: float) -> None:
        for act in acts:
            await asyncio.sleep(began + act.due_s - time.monotonic())
            match act:
                case Write():
                    await self._write(act)
                case Ask():
                    await self._ask(act)
                case _:
                    assert_never(act)

    async def _write(self, act: Write) -> None:
        message = act.message
        self.begun += 1
        began_ms = self.clock.now_ms()
        body = orjson.dumps(
            received(NUMBER, message_object(message, began_ms), name=self.crowd.name)
        )
        headers = {SIGNATURE_HEADER: sign(self.world.secret, body)}
        refusals: Counter[str] = Counter()
        status = await self._patiently(
            self.relay or self.world.webhook,
            OK,
            refusals,
            self.patience_s,
            data=body,
            headers=headers,
        )
        self.posted.append(
            Posted(
                customer=message.customer,
                sequence=message.sequence,
                wamid=message.wamid,
                sort=str(message.sort),
                expects=tuple(message.expects),
                alone=act.alone,
                began_ms=began_ms,
                answered_ms=self.clock.now_ms() if status == OK else 0,
                refusals=dict(refusals),
            )
        )

    async def _ask(self, act: Ask) -> None:
        conversation_id = self.conversation_of(act.customer)
        name = str(act.command) if act.command else "reply"
        body: dict[str, Any] = {"agent_user": AGENT_USER}
        body |= {"reason": "chaos"} if act.command else {"text": f"{REPLY} [{self.crowd.marker}]"}
        status = await self._patiently(
            f"{self.world.api}/v1/conversations/{conversation_id}/{name}",
            ACCEPTED,
            Counter(),
            min(PERSON_S, self.patience_s),
            json=body,
            headers={"Authorization": f"Bearer {self.token}", "Idempotency-Key": act.request_id},
        )
        self.asked.append(
            Asked(
                conversation_id=conversation_id,
                command=str(act.command or ""),
                request_id=act.request_id,
                answered_ms=self.clock.now_ms() if status == ACCEPTED else 0,
            )
        )

    async def _patiently(
        self, url: str, wanted: int, refusals: Counter[str], patience_s: float, **request: Any
    ) -> int:
        """Ask until the answer is the wanted one, or one that will not change."""
        deadline, wait_s = time.monotonic() + patience_s, FIRST_WAIT_S
        while (status := await self._once(url, **request)) != wanted:
            refusals[str(status)] += 1
            self.refused[str(status)] += 1
            if status not in PASSING or time.monotonic() > deadline:
                break
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)
        return status

    async def _once(self, url: str, **request: Any) -> int:
        """Ask once; 0 is no answer."""
        client: aiohttp.ClientSession = self.world.client
        try:
            async with client.post(url, **request) as answer:
                if url == self.relay and answer.status in RELAYED:
                    told: int = (await answer.json())["webhook_status"]
                    return told
                return answer.status
        except FAULTS:
            return 0
