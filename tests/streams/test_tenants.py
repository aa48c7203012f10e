"""Whoever waits for a tenant's kill switch learns of it, and of nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from schemas.changing import replace
from schemas.codec import Codec
from schemas.events import Event, SettingsChanged
from streams.tenancy import tenants as reading
from streams.tenancy.tenants import PARTITION, QUIET_MS, TenantSettings
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
    tenants = await knowing(replace(SETTINGS, ai_enabled=False), replace(SETTINGS, tenant_id="on"))

    waits = {
        tenant_id: asyncio.ensure_future(tenants.stopped(tenant_id))
        for tenant_id in ("loja", "unknown", "on")
    }
    await settle()

    assert {name: wait.done() for name, wait in waits.items()} == {
        "loja": True,
        "unknown": True,
        "on": False,
    }
    waits["on"].cancel()


async def test_an_older_version_that_comes_late_switches_nothing_on_again() -> None:
    off = replace(SETTINGS, version=9, ai_enabled=False, occurred_at=SETTINGS.occurred_at + 1)
    tenants = await knowing(SETTINGS, off)

    await tenants._learn(Record(replace(SETTINGS, version=8)))
    assert tenants.known["loja"] == off

    await tenants._learn(Record(off, 3))  # the same once more
    assert tenants.known["loja"] == off


async def test_a_lower_version_that_was_made_later_counts() -> None:
    """Postgres was restored, and counts versions from where it was."""
    newer = replace(SETTINGS, version=9, occurred_at=1000)
    restored = replace(SETTINGS, version=4, occurred_at=2000, ai_enabled=False)

    tenants = await knowing(newer, restored)

    assert tenants.known["loja"] == restored


async def test_a_tenant_that_is_taken_away_is_switched_off() -> None:
    tenants = await knowing(SETTINGS)
    waits = asyncio.ensure_future(tenants.stopped("loja"))
    await settle()
    assert not waits.done()

    await tenants._learn(Record(None))

    await waits


class Log:
    """A consumer: what it says at each look; an exception is raised."""

    def __init__(self, looks: Iterable[Exception | list[Record]]) -> None:
        self.looks = iter(looks)
        self.read = 0

    async def position(self, _: object) -> int:
        return self.read

    async def getmany(self, *, timeout_ms: int) -> dict[Any, list[Record]]:
        del timeout_ms
        match next(self.looks, None):
            case Exception() as broken:
                raise broken
            case None:
                await asyncio.Event().wait()
                raise AssertionError
            case records:
                self.read += len(records)
                return {PARTITION: records}


class Fragile:
    """A codec with a bug that one record meets."""

    async def read(self, raw: bytes | None, /) -> Event:
        event = await CODEC.read(raw)
        assert isinstance(event, SettingsChanged)
        if event.name == "bug":
            raise ZeroDivisionError
        return event


async def test_whatever_goes_wrong_the_kill_switch_of_another_tenant_is_still_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that reads no more would look ready, and its AI would go on."""
    monkeypatch.setattr(reading, "RETRY_S", 0.0)
    bad = Record(replace(SETTINGS, tenant_id="outra", name="bug"), 0)
    off = Record(replace(SETTINGS, ai_enabled=False), 1)
    tenants = TenantSettings("nowhere:1", Fragile())
    log: Any = Log([RuntimeError("the client"), [bad, off]])

    following = asyncio.ensure_future(tenants._follow(log, 2))
    await asyncio.wait_for(tenants.complete.wait(), 5)
    following.cancel()

    assert (tenants.known["loja"].ai_enabled, tenants.refused) == (False, {"outra": 0})


async def test_a_record_that_aiokafka_cannot_read_hides_no_kill_switch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    off = Record(replace(SETTINGS, ai_enabled=False))

    async def read_on(log: Log, places: object, due: Any, _: str) -> Mapping[Any, list[Record]]:
        log.read = due(PARTITION, log.read) + 1
        assert places == [PARTITION]
        return {PARTITION: [Record(SETTINGS)]}

    monkeypatch.setattr(reading, "read_on", read_on)
    tenants = TenantSettings("nowhere:1", CODEC)
    log: Any = Log([UnicodeDecodeError("utf-8", b"\xff", 0, 1, "header"), [off]])

    following = asyncio.ensure_future(tenants._follow(log, 2))
    await asyncio.wait_for(tenants.complete.wait(), 5)
    following.cancel()

    assert tenants.known["loja"].ai_enabled is False


class Consumer:
    """A consumer of a topic with one record, after which none comes."""

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.left = [Record(SETTINGS)]
        self.patience_ms: list[int] = []

    async def start(self) -> None:
        pass

    stop = start

    async def topics(self) -> set[str]:
        return {PARTITION.topic}

    def assign(self, _partitions: object) -> None:
        pass

    async def seek_to_beginning(self, _partition: object) -> None:
        pass

    async def end_offsets(self, _partitions: object) -> Mapping[Any, int]:
        return {PARTITION: 1}

    async def position(self, _partition: object) -> int:
        return 1 - len(self.left)

    async def getmany(self, *, timeout_ms: int) -> Mapping[Any, Sequence[Record]]:
        self.patience_ms.append(timeout_ms)
        if not self.left:
            await asyncio.Event().wait()
        return {PARTITION: [self.left.pop()]}


async def test_once_all_settings_are_known_a_fetch_waits_long_for_a_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "AIOKafkaConsumer", Consumer)
    tenants = TenantSettings("nowhere:1", CODEC)
    await tenants.start()
    await settle()
    consumer: Any = tenants.consumer
    await tenants.stop()

    assert tenants.get(SETTINGS.tenant_id) == SETTINGS
    assert consumer.patience_ms[-1] == consumer.options["fetch_max_wait_ms"] == QUIET_MS
    assert consumer.patience_ms[0] < QUIET_MS
