"""W2: customers' messages arrive as Meta may deliver them: again, in batches, out of order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from streams.local.chaos.facts import Seen
from streams.local.chaos.ground import Ground, lasting
from streams.local.chaos.schedule import Planned

NAME: Final = "W2"
"""In a run with it customers write through the simulator, which alone can misbehave."""
WISHES: Final = (
    {"kind": "redeliver", "times": 30, "among": 60, "copies": 2},
    {"kind": "batch", "times": 30, "among": 60, "seconds": 0.5},
    {"kind": "reorder", "times": 30, "among": 60, "seconds": 1.0},
    {"kind": "odd", "times": 12, "among": 60},
)


async def deliveries(ground: Ground, planned: Planned) -> Seen:
    """W2: messages come again at once, many in one POST, overtaken by others, in odd shapes."""
    root = "{0.scheme}://{0.netloc}/_simulator".format(urlsplit(ground.current.whatsapp_api_url))
    client = ground.customers.world.client
    async with client.get(f"{root}/journal") as answer:
        before = (await answer.json())["total"]
    async with client.post(f"{root}/misbehaviour", json={"wishes": list(WISHES)}) as answer:
        answer.raise_for_status()
    await lasting(planned.seconds)
    async with client.delete(f"{root}/misbehaviour") as answer:
        answer.raise_for_status()
    async with client.get(f"{root}/journal", params={"after": str(before)}) as answer:
        return seen((await answer.json())["acts"])


def seen(acts: Iterable[Mapping[str, Any]]) -> Seen:
    """Count what really happened: a batch of one message is none, nor is a delay without effect."""
    found = {"again": 0, "batched": 0, "overtaken": 0, "odd": 0}
    for act in acts:
        kind, detail = act["kind"], act["detail"]
        if kind == "redeliver":
            found["again"] += int(detail["taken"])
        elif kind == "batch":
            found["batched"] += detail["messages"] if detail["messages"] > 1 else 0
        elif kind == "reorder":
            found["overtaken"] += detail["overtaken_by"] > 0
        elif kind == "odd":
            found["odd"] += 1
    return {**found}
