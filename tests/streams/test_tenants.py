"""Whoever waits for a tenant's kill switch learns of it, and of nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from schemas.changing import replace
from schemas.codec import Codec
from schemas.events import SettingsChanged
from streams.tenants import TenantSettings
from tests.agents.ai.samples import SETTINGS

CODEC = Codec.offline()


@dataclass
class Record:
    """A record of the topic; without settings the tenant is taken away."""

    settings: SettingsChanged | None
    offset: int = 0

    @property
    def key(self) -> bytes:
        return (self.settings or SETTINGS).tenant_id.encode()

    @property
    def value(self) -> bytes | None:
        return CODEC.encode(self.settings) if self.settings else None


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def knowing(*known: SettingsChanged) -> TenantSettings:
    tenants = TenantSettings("nowhere:1", CODEC)
    for settings in known:
        await tenants._learn(Record(settings))
    return tenants


async def test_a_switch_is_waited_for_through_every_other_change() -> None:
    tenants = await knowing(SETTINGS)
    waits = [asyncio.ensure_future(tenants.stopped("loja")) for _ in range(2)]
    await settle()
    other = replace(SETTINGS, tenant_id="outra", ai_enabled=False)
    for unrelated in (other, replace(SETTINGS, version=8, name="Loja Verde")):
        await tenants._learn(Record(unrelated))
        await settle()
    before = [wait.done() for wait in waits]

    await tenants._learn(Record(replace(SETTINGS, version=9, ai_enabled=False)))
    await asyncio.gather(*waits)

    assert before == [False, False]


async def test_a_switch_that_is_off_already_is_not_waited_for() -> None:
    tenants = await knowing(replace(SETTINGS, ai_enabled=False))

    await tenants.stopped("loja")
    await tenants.stopped("unknown")


async def test_a_tenant_that_is_taken_away_is_switched_off() -> None:
    tenants = await knowing(SETTINGS)
    waits = asyncio.ensure_future(tenants.stopped("loja"))
    await settle()
    assert not waits.done()

    await tenants._learn(Record(None))

    await waits
