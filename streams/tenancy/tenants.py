"""Settings of all tenants in memory: ``tenant.settings.changed``, read whole by every process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.errors import Misconfigured, Unavailable
from schemas.events import Channel, Event, SettingsChanged
from schemas.topics import SETTINGS_CHANGED
from streams.kafka.misnamed import read_on
from streams.logs import place

log = structlog.get_logger(__name__)

PARTITION: Final = TopicPartition(SETTINGS_CHANGED.name, 0)
RETRY_S: Final = 1.0
POLL_MS: Final = 200
QUIET_MS: Final = 5000
"""How long a fetch waits at the broker for a change, which ends it at once. At aiokafka's half
second every process asked twice a second for what changes some times a day."""


class Reader(Protocol):
    """Turns bytes into events, learning a new schema when needed (``schemas.codec.Codec``)."""

    async def read(self, raw: bytes | None, /) -> Event:
        """Return the event."""


class Told(Protocol):
    """Is told how much of the topic is in use (``streams.tenancy.presence.Presence``)."""

    async def join(self) -> None:
        """Note that this process begins to read."""

    def reached(self, offset: int, /) -> None:
        """Note that everything below an offset is in use."""

    async def leave(self) -> None:
        """Note that this process ends."""


class TenantSettings:
    """Newest settings of each tenant; ``start`` returns once all of the topic was read.

    Attributes:
        known: Settings by tenant.
        numbers: Settings and channel by business number.
        refused: Offset of the newest record of a tenant, where it could not be read.
        changes: Set, and taken away, when the tenant's settings change.
    """

    def __init__(
        self,
        bootstrap: str,
        codec: Reader,
        *,
        client_id: str = "whaticket.tenants",
        told: Told | None = None,
    ) -> None:
        self.bootstrap = bootstrap
        self.codec = codec
        self.client_id = client_id
        self.told = told
        self.refused: dict[str, int] = {}
        self.known: dict[str, SettingsChanged] = {}
        self.numbers: dict[str, tuple[SettingsChanged, Channel]] = {}
        self.changes: dict[str, asyncio.Event] = {}
        self.complete = asyncio.Event()
        self.consumer: AIOKafkaConsumer | None = None
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the topic to its end, then go on reading.

        Raises:
            Unavailable: No broker answers.
            Misconfigured: The topic does not exist.
        """
        if self.consumer is not None:
            return
        if self.told is not None:  # before the end is asked for: see streams.tenancy.presence
            await self.told.join()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            client_id=self.client_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=QUIET_MS,
        )
        try:
            await consumer.start()
            end = await self._end(consumer)
        except KafkaError as exc:
            await consumer.stop()
            raise Unavailable("kafka") from exc
        except Misconfigured:
            await consumer.stop()
            raise
        self.consumer = consumer
        self.task = asyncio.create_task(self._follow(consumer, end), name="tenants")
        await self.complete.wait()

    async def stop(self) -> None:
        """Read no more."""
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task
        if self.consumer is not None:
            await self.consumer.stop()
        if self.told is not None:
            await self.told.leave()

    def get(self, tenant_id: str, /) -> SettingsChanged | None:
        """Return the settings of a tenant, or None when it is not known."""
        return self.known.get(tenant_id)

    async def stopped(self, tenant_id: str, /) -> None:
        """Return as soon as the tenant's AI is switched off, or the tenant is not known."""
        while (settings := self.known.get(tenant_id)) is not None and settings.ai_enabled:
            await self.changes.setdefault(tenant_id, asyncio.Event()).wait()

    def by_phone_number(self, phone_number_id: str) -> tuple[SettingsChanged, Channel] | None:
        """Return the tenant and channel of a business number, or None when nobody has it."""
        return self.numbers.get(phone_number_id)

    def channel(self, phone_number_id: str) -> Channel | None:
        """Return what the settings say of a business number, or None when nobody has it."""
        found = self.numbers.get(phone_number_id)
        return None if found is None else found[1]

    async def _end(self, consumer: AIOKafkaConsumer) -> int:
        """Go to the beginning; return the offset after the newest record."""
        if PARTITION.topic not in await consumer.topics():
            raise Misconfigured(f"topic {PARTITION.topic} is missing: run `whaticket topics apply`")
        consumer.assign([PARTITION])
        await consumer.seek_to_beginning(PARTITION)
        return int((await consumer.end_offsets([PARTITION]))[PARTITION])

    async def _follow(self, consumer: AIOKafkaConsumer, end: int) -> None:
        while True:
            try:
                position = await consumer.position(PARTITION)
                if self.told is not None:
                    self.told.reached(min((position, *self.refused.values())))
                if position >= end:
                    self.complete.set()
                patience_ms = QUIET_MS if self.complete.is_set() else POLL_MS
                batches = await self._fetch(consumer, patience_ms)
            except Exception as exc:  # noqa: BLE001 - who reads no more misses the kill switch
                log.warning("tenants.unreadable", error=type(exc).__name__)
                await asyncio.sleep(RETRY_S)
                continue
            for records in batches.values():
                for record in records:
                    await self._learn(record)

    async def _fetch(self, consumer: AIOKafkaConsumer, patience_ms: int) -> Mapping[Any, Any]:
        try:
            found: Mapping[Any, Any] = await consumer.getmany(timeout_ms=patience_ms)
        except UnicodeDecodeError:  # nothing else was fetched that could be lost
            return await read_on(consumer, [PARTITION], lambda _, at: at, self.bootstrap)
        return found

    async def _learn(self, record: Any) -> None:
        """Put one record to use; one that cannot be read is not in use until a newer one is."""
        tenant_id = (record.key or b"").decode("utf-8", "replace")
        if record.value is None:
            self._forget(tenant_id)
            self._tell(tenant_id)
            return
        settings = await self._read(record)
        if settings is None:
            self.refused[tenant_id] = record.offset
            return
        if self._overtaken(settings):
            log.warning("tenants.older_version", offset=record.offset, version=settings.version)
            return
        self._forget(settings.tenant_id)
        self.known[settings.tenant_id] = settings
        for channel in settings.channels:
            self.numbers[channel.phone_number_id] = (settings, channel)
        self._tell(settings.tenant_id)

    async def _read(self, record: Any) -> SettingsChanged | None:
        while True:
            try:
                event = await self.codec.read(record.value)
                break
            except Unavailable as exc:
                log.warning("tenants.waiting", service=exc.service, offset=record.offset)
                await asyncio.sleep(RETRY_S)
            except Exception as exc:  # noqa: BLE001 - as above: the others are still to be read
                log.error(  # noqa: TRY400 - a message may quote the record
                    "tenants.bad_record", offset=record.offset, error=place(exc)
                )
                return None
        if isinstance(event, SettingsChanged):
            return event
        log.error("tenants.wrong_record", offset=record.offset, record=type(event).__name__)
        return None

    def _overtaken(self, settings: SettingsChanged) -> bool:
        """Tell whether a newer version is known that was not made before.

        After Postgres was restored, versions begin again below those on the topic.
        """
        known = self.known.get(settings.tenant_id)
        return known is not None and (
            settings.version < known.version and settings.occurred_at <= known.occurred_at
        )

    def _tell(self, tenant_id: str) -> None:
        """Wake those who wait for a change of a tenant's settings."""
        changed = self.changes.pop(tenant_id, None)
        if changed is not None:
            changed.set()

    def _forget(self, tenant_id: str) -> None:
        self.known.pop(tenant_id, None)
        self.refused.pop(tenant_id, None)
        for number in [n for n, (owner, _) in self.numbers.items() if owner.tenant_id == tenant_id]:
            del self.numbers[number]
