"""Which act belongs to which fault of the catalogue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from streams.local.chaos import growth, inbound, outages, processes, versions
from streams.local.chaos.facts import Seen, Struck
from streams.local.chaos.ground import Ground
from streams.local.chaos.schedule import Planned

Act = Callable[[Ground, Planned], Awaitable[Seen]]
"""Strikes, waits until what was struck is there again, and returns what was seen."""

ACTS: Final[dict[str, Act]] = {
    "F1": processes.kill,
    "F1w": processes.crash,
    "F2": processes.roll,
    "F2t": versions.added_topic,
    "F3": processes.freeze,
    "F4": outages.two_brokers,
    "F5": outages.all_brokers,
    "F6": outages.weather,
    "F7": outages.postgres,
    "F8": outages.redis,
    "F9": outages.model,
    "F10": outages.registry,
    "F11": outages.poison,
    "F12": growth.refused,
    "F13": processes.scale,
    "F14": processes.skew,
    "F15": versions.hot_key,
    "F16": processes.reset_offsets,
    "F17": versions.newer_schema,
    "W1": outages.whatsapp,
    "W2": inbound.deliveries,
}


async def strike(ground: Ground, planned: Planned) -> Struck:
    """Wait for the time of a fault and let it happen."""
    await ground.reach(planned.share)
    async with ground.holding(planned.whom):
        sent, began_ms = ground.customers.begun, ground.witness.clock.now_ms()
        ground.say(f"{planned.fault} strikes {', '.join(planned.whom)} after {sent} messages")
        evidence = await ACTS[planned.fault](ground, planned)
    return Struck(
        fault=planned.fault,
        whom=planned.whom,
        sent=sent,
        unsent=ground.total - sent,
        began_ms=began_ms,
        ended_ms=ground.witness.clock.now_ms(),
        evidence=evidence,
    )
