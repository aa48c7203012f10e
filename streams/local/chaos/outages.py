"""Faults of everything around us: brokers, Postgres, Redis, registry, model, bad records."""

from __future__ import annotations

import asyncio
import random
import struct
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from redis.asyncio import Redis

from schemas.topics import MESSAGE_RECEIVED
from streams.local.chaos.catalogue import FAULTS
from streams.local.chaos.facts import Seen
from streams.local.chaos.ground import LOOK_S, Ground, lasting
from streams.local.chaos.proxy import Weather
from streams.local.chaos.schedule import Planned
from streams.local.stack.process import Crashed
from streams.local.stack.together import together

TERMINATE: Final = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = 'whaticket' AND pid <> pg_backend_pid()
"""
ROUNDS: Final = 5
"""How often all sessions of Postgres are terminated."""

MODEL_FAULTS: Final = (
    {"kind": "status", "status": 429, "retry_after_s": 1.0},
    {"kind": "cut"},
    {"kind": "wrong_tool"},
    {"kind": "slow", "seconds": 6.0},
    {"kind": "invalid_json"},
    {"kind": "endless_tools"},
    {"kind": "refusal"},
    {"kind": "huge"},
    {"kind": "bad_arguments"},
    {"kind": "status", "status": 500},
    {"kind": "empty"},
)
MODEL_ROUNDS: Final = 3
STARTS: Final = 5
"""How often the registry is started; it ends at once while Postgres is away."""
WHATSAPP_WISHES: Final = (
    {"kind": "cut", "times": 4, "among": 20},
    {"kind": "gateway", "times": 4, "among": 20},
    {"kind": "error", "status": 503, "times": 3, "among": 20, "burst": 2},
    {"kind": "slow", "times": 4, "among": 20, "seconds": 3.0},
    {"kind": "early_status", "times": 6, "among": 30},
    {"kind": "status_reorder", "times": 6, "among": 30},
    {"kind": "status_twice", "times": 6, "among": 30},
    {"kind": "status_late", "times": 4, "among": 30, "seconds": 5.0},
)
"""What a result may be unknown by, and statuses that come as they never should."""
MODEL_S: Final = 45.0
WHATSAPP_S: Final = 60.0
"""How much longer than planned WhatsApp may take for enough of it to happen."""
BIG: Final = (1 << 20) + 1


async def two_brokers(ground: Ground, planned: Planned) -> Seen:
    """F4: one broker dies, then a second one: two of three copies are away."""
    first, second = planned.whom
    await ground.stack.kill(first)
    await lasting(planned.seconds)
    await ground.note_commits()
    refused = ground.refusals()
    await ground.stack.kill(second)
    await lasting(planned.seconds)
    seen: Seen = {"down": 2, "refused": ground.refusals() - refused}
    await _start(ground, planned.whom)
    return seen


async def all_brokers(ground: Ground, planned: Planned) -> Seen:
    """F5: every broker dies and is away for a while."""
    refused = ground.refusals()
    for name in planned.whom:
        await ground.stack.kill(name)
    down_s = await lasting(planned.seconds)
    seen: Seen = {
        "down": len(planned.whom),
        "down_s": down_s,
        "refused": ground.refusals() - refused,
    }
    await _start(ground, planned.whom)
    return seen


async def weather(ground: Ground, planned: Planned) -> Seen:
    """F6: brokers answer slowly, then in drops, and connections are reset."""
    cut = 0
    for storm in (Weather(delay_s=0.15), Weather(drop_s=0.002)):
        for proxy in ground.proxies:
            proxy.weather = storm
        await lasting(planned.seconds)
        cut += sum(proxy.reset() for proxy in ground.proxies)
    for proxy in ground.proxies:
        proxy.weather = Weather()
    for _ in range(3):
        await asyncio.sleep(1.0)
        cut += sum(proxy.reset() for proxy in ground.proxies)
    return {
        "cut": cut,
        "delayed": sum(proxy.delayed for proxy in ground.proxies),
        "trickled": sum(proxy.trickled for proxy in ground.proxies),
    }


async def postgres(ground: Ground, planned: Planned) -> Seen:
    """F7: sessions are terminated in the middle of their work, then the server dies."""
    terminated = 0
    connection = await asyncpg.connect(ground.current.postgres_dsn.get_secret_value())
    try:
        for _ in range(ROUNDS):
            terminated += int(await connection.fetchval(TERMINATE))
            await asyncio.sleep(0.5)
    finally:
        await connection.close()
    (name,) = planned.whom
    before = ground.stack.pid(name)
    await ground.stack.kill(name)
    down_s = await lasting(planned.seconds)
    await ground.stack.start(name)
    return {
        "terminated": terminated,
        "down_s": down_s,
        "before": before,
        "after": ground.stack.pid(name),
    }


async def redis(ground: Ground, planned: Planned) -> Seen:
    """F8: every key holds garbage, then nothing, then the server dies."""
    client: Any = Redis.from_url(ground.current.redis_url.get_secret_value())
    try:
        keys = [*await client.keys("*"), *(f"whaticket:{number}" for number in range(20))]
        for key in keys:
            await client.delete(key)
            await client.set(key, b"\x00garbage")
        await asyncio.sleep(1.0)
        await client.flushall()
    finally:
        await client.aclose()
    (name,) = planned.whom
    await ground.stack.kill(name)
    down_s = await lasting(planned.seconds)
    await ground.stack.start(name)
    return {"garbage": len(keys), "down_s": down_s}


async def model(ground: Ground, _: Planned) -> Seen:
    """F9: the model refuses, breaks off, raves and is slow, as often as the script says."""
    root = "{0.scheme}://{0.netloc}".format(urlsplit(ground.current.openai_base_url))
    client = ground.customers.world.client
    async with client.post(
        f"{root}/control", json={"faults": [*MODEL_FAULTS] * MODEL_ROUNDS}
    ) as answer:
        before = (await answer.json())["happened"]
    deadline = time.monotonic() + MODEL_S
    while True:
        async with client.get(f"{root}/control") as answer:
            told = await answer.json()
        if not told["waiting"] or time.monotonic() > deadline:
            break
        await asyncio.sleep(LOOK_S)
    return _since(before, told["happened"])


async def whatsapp(ground: Ground, planned: Planned) -> Seen:
    """W1: WhatsApp takes messages and does not say so, and tells of them in any order."""
    root = "{0.scheme}://{0.netloc}/_simulator".format(urlsplit(ground.current.whatsapp_api_url))
    client = ground.customers.world.client
    wishes = {"wishes": list(WHATSAPP_WISHES)}
    async with client.post(f"{root}/misbehaviour", json=wishes) as answer:
        before = (await answer.json())["happened"]
    await lasting(planned.seconds)
    deadline = time.monotonic() + WHATSAPP_S
    while True:  # nothing is sent to it while the workers are being struck themselves
        async with client.get(f"{root}/control") as answer:
            found = _since(before, (await answer.json())["happened"])
        if FAULTS["W1"].proof(found) is None or time.monotonic() > deadline:
            break
        await asyncio.sleep(LOOK_S)
    async with client.delete(f"{root}/misbehaviour") as answer:
        answer.raise_for_status()
    return found


def _since(before: Mapping[str, int], now: Mapping[str, int]) -> Seen:
    """Return how often each kind of thing has happened since, and how many kinds did."""
    seen = {kind: n for kind, times in now.items() if (n := times - before.get(kind, 0)) > 0}
    return {"kinds": len(seen), **seen}


async def registry(ground: Ground, planned: Planned) -> Seen:
    """F10: the registry is away while a worker starts; those that run go on."""
    name, worker = planned.whom
    await ground.stack.kill(name)
    await ground.stack.stop(worker)
    starting = asyncio.create_task(ground.stack.start(worker))
    try:
        down_s = await lasting(planned.seconds)
        waited = not starting.done()
        await _started(ground, name)
        await starting
    finally:
        starting.cancel()
        await asyncio.wait({starting})
    return {"down_s": down_s, "waited": int(waited)}


async def _started(ground: Ground, name: str) -> None:
    """Start a part; again where it ends, because another fault has taken what it needs."""
    for _ in range(STARTS - 1):
        try:
            await ground.stack.start(name)
        except Crashed:
            ground.say(f"{name} ended at its start, and is started again")
            await asyncio.sleep(LOOK_S)
        else:
            return
    await ground.stack.start(name)


async def poison(ground: Ground, planned: Planned) -> Seen:
    """F11: records that nobody can read, between those of the customers."""
    chance = random.Random(planned.seed)  # noqa: S311 - a plan, not a secret
    producer = AIOKafkaProducer(
        bootstrap_servers=ground.current.kafka_bootstrap, max_request_size=2 * BIG
    )
    places: list[str] = []
    await producer.start()
    try:
        for value in _values(chance):
            customer = chance.choice(ground.customers.posted).customer
            key = ground.customers.conversation_of(customer).encode()
            for its in (key, None) if value is not None else (key,):
                try:
                    sent = await producer.send_and_wait(MESSAGE_RECEIVED.name, value, its)
                except KafkaError as exc:  # too large for the topic: that is refused for all
                    ground.say(f"a poison record was refused: {type(exc).__name__}")
                    continue
                places.append(f"{sent.topic}:{sent.partition}:{sent.offset}")
    finally:
        await producer.stop()
    return {"written": len(places), "places": " ".join(places)}


def _values(chance: random.Random) -> list[bytes | None]:
    unknown = struct.pack(">bI", 0, 2_000_000_000)
    return [
        b"\x07" + chance.randbytes(40),
        unknown + chance.randbytes(40),
        b"\x00\x00",
        b"",
        None,
        b"\x07" + bytes(BIG),
    ]


async def _start(ground: Ground, names: tuple[str, ...]) -> None:
    await together(ground.stack.start(name) for name in names)
