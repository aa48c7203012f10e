"""The composition root: the only module that knows every other.

Nothing is opened on import. Both layouts are built here from the same stages: all of them in
one worker, or one for each worker (docs/adr/0002).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import asyncpg

from agents.adapters.breaker import Breaker
from agents.adapters.whatsapp import WhatsAppCourier, open_client
from agents.adapters.whatsapp_reads import WhatsAppReads
from agents.outbound import Desk
from agents.ports import Embedder
from agents.toolbox import Toolbox, shipped
from schemas.changing import replace
from schemas.codec import Codec
from schemas.errors import Misconfigured
from schemas.topics import STATEFUL_STAGES
from sinks.catalogue import Catalogue
from sinks.channels import Channels
from sinks.claims import PostgresClaims
from sinks.database import open_pool
from sinks.identity import Identities
from sinks.knowledge import PostgresKnowledge
from sinks.leases import PostgresLeases
from sinks.memory import Memories
from sinks.ports import Sink
from sinks.processes import Processes
from sinks.pruning import BATCHES, Pruning
from sinks.resting import RestingStates
from sinks.seen_ids import SeenIds
from sinks.transcripts import Transcripts
from streams.clock import open_clock
from streams.embedding import open_embedder
from streams.kafka.publish import Publisher
from streams.kafka.registry import open_codec
from streams.linking import LinkingCourier
from streams.metrics import observe
from streams.permits import NumberPermits
from streams.processor.resting import DAY_MS, Rest
from streams.processor.stage import Stage
from streams.processor.stages import ai_stage, dispatch_stage, outbound_stage, read_by, tools_stage
from streams.settings import Settings, require_secrets
from streams.sinking import SinkRunner
from streams.tenancy.presence import Presence
from streams.tenancy.tenants import TenantSettings
from streams.upkeep import Upkeep

SINKS: Final = ("memory", "transcripts")
NAMES: Final = (*STATEFUL_STAGES, *SINKS)
"""What a worker may run, as ``whaticket worker NAME``."""

MEMORY_GATHER_S: Final = 1.0
"""Consoles look at transcripts; a memory is for another day."""


@dataclass(slots=True)
class Parts:
    """What one worker runs (``streams.worker.Parts``).

    Attributes:
        stages: Stateful stages on its Faust app.
        sinks: Sinks in groups of their own.
        codec: Events to bytes and back.
        publisher: What everything is published through.
        tenants: Settings of all tenants.
        rest: Where idle conversations rest.
        loading: What loads in the background; the worker is not ready before its end.
        opened: Closes what the parts opened, newest first.
    """

    codec: Codec
    publisher: Publisher
    tenants: TenantSettings
    stages: Sequence[Stage] = ()
    sinks: Sequence[SinkRunner] = ()
    rest: Rest | None = None
    loading: Awaitable[object] | None = None
    opened: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def close(self) -> None:
        """Close what the parts opened."""
        await self.opened.aclose()


async def build_worker(settings: Settings, names: Sequence[str]) -> Parts:
    """Build the stages and sinks of these names; no name is all of them.

    Raises:
        Misconfigured: A name or a setting is wrong, or a schema is missing.
        Unavailable: The registry does not answer.
    """
    chosen = tuple(names) or NAMES
    if unknown := set(chosen) - set(NAMES):
        raise Misconfigured(
            f"no such stage: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}"
        )
    require_secrets(settings, "secrets_key")
    codec = await open_codec(settings)
    client_id = f"whaticket.{'-'.join(names) or 'pipeline'}.{settings.instance}"
    pool = await open_pool(settings.postgres_dsn.get_secret_value(), name=client_id)
    parts = Parts(
        codec=codec,
        publisher=Publisher(
            settings.kafka_bootstrap, client_id=client_id, linger_ms=settings.linger_ms
        ),
        tenants=TenantSettings(
            settings.kafka_bootstrap,
            codec,
            client_id=client_id,
            told=Presence(Processes(pool), client_id),
        ),
        rest=Rest(shelf=RestingStates(pool), idle_ms=round(settings.idle_days * DAY_MS)),
    )
    parts.opened.push_async_callback(pool.close)
    upkeep = Upkeep(Pruning(pool), BATCHES)
    upkeep.start()
    parts.opened.push_async_callback(upkeep.stop)
    embedder = await parts.opened.enter_async_context(open_embedder(settings))
    workshop = _Workshop(settings, parts, pool, embedder)
    parts.stages = [workshop.stage(name) for name in STATEFUL_STAGES if name in chosen]
    parts.sinks = [workshop.sink(name) for name in SINKS if name in chosen]
    if "ai" in chosen and settings.embedder == "local":
        # Loads the encoder now, not at the first question; the start goes on meanwhile.
        parts.loading = asyncio.ensure_future(embedder.embed(["oi"]))
    return parts


class _Workshop:
    """Makes parts from the settings, with what each of them needs and nothing else."""

    def __init__(
        self, settings: Settings, parts: Parts, pool: asyncpg.Pool, embedder: Embedder
    ) -> None:
        self.settings = settings
        self.parts = parts
        self.pool = pool
        self.clock = open_clock(settings)
        self.embedder = embedder
        self.toolbox: Toolbox = shipped(Catalogue(pool))

    @cached_property
    def permits(self) -> NumberPermits:
        """Permits to send, of all stages of the worker."""
        leases = PostgresLeases(self.pool, self.settings.instance)
        permits = NumberPermits(leases, self.parts.tenants.channel, clock=self.clock)
        permits.start()
        self.parts.opened.push_async_callback(permits.stop)
        return permits

    def stage(self, name: str) -> Stage:
        """Make a stateful stage."""
        made: Mapping[str, Callable[[], Stage]] = {
            "dispatch": self._dispatch,
            "ai": self._ai,
            "tools": self._tools,
            "outbound": self._outbound,
        }
        return made[name]()

    def _dispatch(self) -> Stage:
        return dispatch_stage(
            self.parts.tenants,
            takeovers=PostgresClaims(self.pool),
            archive=SeenIds(self.pool),
            observe=observe,
            max_inflight=self.settings.max_inflight,
            arrived=self.permits.came,
        )

    def _ai(self) -> Stage:
        # The library takes longer to import than a worker of another stage to start.
        from agents.adapters.llm import OpenAIModel, client  # noqa: PLC0415 - see above

        provider = client(
            self.settings.openai_base_url,
            self.settings.openai_api_key.get_secret_value(),
            timeout_s=self.settings.model_timeout_s,
        )
        self.parts.opened.push_async_callback(provider.close)
        model = OpenAIModel(
            provider,
            self.settings.openai_model,
            clock=self.clock,
            breaker=Breaker("model", self.clock, observe=observe),
            observe=observe,
        )
        return ai_stage(
            model=model,
            knowledge=PostgresKnowledge(self.pool, self.embedder),
            tenants=self.parts.tenants,
            toolbox=self.toolbox,
            clock=self.clock,
            timeout_s=self.settings.model_timeout_s,
            max_inflight=self.settings.max_inflight,
        )

    def _tools(self) -> Stage:
        return tools_stage(
            toolbox=self.toolbox,
            claims=PostgresClaims(self.pool),
            tenants=self.parts.tenants,
            clock=self.clock,
            observe=observe,
            max_inflight=self.settings.max_inflight,
        )

    def _outbound(self) -> Stage:
        http = open_client(self.settings.whatsapp_api_url, self.settings.whatsapp_timeout_s)
        self.parts.opened.push_async_callback(http.close)
        key = self.settings.secrets_key.get_secret_value()
        channels = Channels(self.pool, key, newest=self.parts.tenants.channel)
        courier = LinkingCourier(
            WhatsAppCourier(http, channels, clock=self.clock, observe=observe),
            Identities(self.pool, b""),  # it only links names; no new id is hashed here
        )
        reads = WhatsAppReads(http, channels, observe=observe)
        self.parts.opened.push_async_callback(reads.stop)
        stage = outbound_stage(
            Desk(
                claims=PostgresClaims(self.pool),
                permits=self.permits,
                courier=courier,
                tenants=self.parts.tenants,
                clock=self.clock,
                ended=self.permits.ended,
                show=reads.show,
                observe=observe,
            ),
            max_inflight=self.settings.max_inflight,
        )
        return replace(stage, hastens=self.permits.woken_by)

    def sink(self, name: str) -> SinkRunner:
        """Make a sink."""
        made: Mapping[str, Callable[[], Sink]] = {
            "memory": lambda: Memories(self.pool),
            "transcripts": self._transcripts,
        }
        runner = SinkRunner(
            made[name](),
            read_by(name),
            f"whaticket.{name}",
            settings=self.settings,
            codec=self.parts.codec,
            publisher=self.parts.publisher,
        )
        if name == "memory":
            runner.gather_s = MEMORY_GATHER_S
        return runner

    def _transcripts(self) -> Transcripts:
        # Redis and Socket.IO are slow to import, and only this sink speaks to them.
        from streams.api.feed import HelpdeskFeed  # noqa: PLC0415 - see above

        feed = HelpdeskFeed(self.pool, self.settings.redis_url.get_secret_value())
        self.parts.opened.push_async_callback(feed.stop)
        return Transcripts(self.pool, feed)
