"""The webhook with the world around it in memory, typed against its ports."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from standardwebhooks import Webhook

from schemas.codec import Codec
from schemas.errors import Unavailable
from schemas.events import Channel, Event, SettingsChanged
from schemas.ids import keyed
from schemas.topics import SETTINGS_CHANGED
from sinks.identity import Ask, Place
from sinks.producers import Producer
from streams.kafka.publish import Record
from streams.webhook.app import build
from streams.webhook.beat import Beat
from streams.webhook.bodies import Bodies
from streams.webhook.inbox import Inbox
from streams.webhook.ports import People
from streams.webhook.producers import Doorway

PAYLOADS = Path(__file__).parents[2] / "payloads"
NOW_MS = 1_750_000_000_000
APP = "app-1"
TOKEN = "verify-me"
SECRET = "1222e786b144d0e85b9f365372d93676"
OLD_SECRET = "the-secret-before"
PRODUCER_SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
TENANT = "acme"
NUMBER = "1122334455667"


def signature(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def standard(
    body: bytes, webhook_id: str = "evt_1", secret: str = PRODUCER_SECRET, at: float | None = None
) -> dict[str, str]:
    """Sign a body as the specification's own library does, which knows no bytes but UTF-8."""
    moment = datetime.fromtimestamp(at, UTC) if at is not None else datetime.now(UTC)  # noqa: TID251 - the library compares with the real clock
    text = body.decode(errors="replace")
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, moment, text),
    }


def bodies() -> list[tuple[str, Any]]:
    """Every recorded body, by its file and variant."""
    found = []
    for file in sorted(PAYLOADS.glob("*/*.json")):
        read = json.loads(file.read_text())
        variants = {"": read} if "entry" in read else read
        found += [(f"{file.stem}:{name}", body) for name, body in variants.items()]
    return found


def expected(body: Any) -> dict[str, int]:
    """Count what a body holds, by lists alone: nothing here is the code under test."""
    changes = [change for entry in body["entry"] for change in entry["changes"]]
    values = [change["value"] for change in changes]
    return {
        "Message": sum(len(value.get("messages", [])) for value in values),
        "Status": sum(len(value.get("statuses", [])) for value in values),
        "Echo": sum(len(value.get("message_echoes", [])) for value in values),
        "Other": sum(
            "errors" in value
            or not any(key in value for key in ("messages", "statuses", "message_echoes"))
            for value in values
        ),
    }


def envelope(*changes: Any, entry_id: str = "waba") -> dict[str, Any]:
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": entry_id, "changes": list(changes)}],
    }


def change(field_name: str = "messages", number: str = NUMBER, **lists: Any) -> dict[str, Any]:
    metadata = {"display_phone_number": "15550000000", "phone_number_id": number}
    return {
        "field": field_name,
        "value": {"messaging_product": "whatsapp", "metadata": metadata, **lists},
    }


def text(wamid: str, sender: str = "5511987654321", words: str = "oi", **more: Any) -> Any:
    own = {"id": wamid, "timestamp": "1700000000", "type": "text", "text": {"body": words}}
    return {"from": sender, **own, **more}


class FixedClock:
    def __init__(self) -> None:
        self.now = NOW_MS

    def now_ms(self) -> int:
        return self.now


class AnyNumber:
    """Every business number is of one tenant, unless told otherwise."""

    def __init__(self) -> None:
        self.unknown: set[str] = set()
        self.app_id = APP

    def by_phone_number(self, phone_number_id: str, /) -> tuple[SettingsChanged, Channel] | None:
        if phone_number_id in self.unknown:
            return None
        channel = Channel(phone_number_id=phone_number_id, app_id=self.app_id)
        return settings(channel), channel


def settings(*channels: Channel) -> SettingsChanged:
    return SettingsChanged(
        event=SETTINGS_CHANGED.name,
        event_id="1",
        trace_id="0" * 32,
        tenant_id=TENANT,
        conversation_id="",
        customer_id="",
        idempotency_key="1",
        occurred_at=NOW_MS,
        version=1,
        company=1,
        name="Acme",
        channels=channels,
    )


class MemoryPeople:
    """The first name of a person is the person."""

    def __init__(self) -> None:
        self.asked: list[Ask] = []
        self.down = False

    async def resolve(self, asks: Sequence[Ask], /) -> list[Place]:
        if self.down:
            raise Unavailable("postgres")
        self.asked += asks
        return [self._place(ask) for ask in asks]

    def _place(self, ask: Ask) -> Place:
        who = ask.identifiers[0]
        return Place(
            keyed("conv", b"key", ask.tenant_id, ask.phone_number_id, who),
            keyed("cust", b"key", ask.tenant_id, who),
        )


class MemoryKeeping:
    def __init__(self) -> None:
        self.kept: list[bytes] = []

    async def keep(self, parts: Sequence[bytes], /) -> None:
        self.kept += parts


class MemoryLog:
    """Keeps what is posted; a silent one never acknowledges."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.silent = False
        self.down = False

    async def post(self, record: Record, /) -> asyncio.Future[tuple[int, int]]:
        if self.down:
            raise Unavailable("kafka")
        future: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
        if not self.silent:
            self.records.append(record)
            future.set_result((0, len(self.records)))
        return future


class MemorySecrets:
    def __init__(self) -> None:
        self.apps: dict[str, tuple[str, ...]] = {APP: (SECRET, OLD_SECRET)}
        self.down = False

    async def app_secrets(self, app_id: str, /) -> tuple[str, ...]:
        if self.down:
            raise Unavailable("postgres")
        return self.apps.get(app_id, ())

    async def verify_token(self, app_id: str, /) -> str | None:
        return TOKEN if app_id in self.apps else None


class MemorySenders:
    def __init__(self) -> None:
        self.known = {"crm": Producer(TENANT, (PRODUCER_SECRET,))}

    async def get(self, producer: str, /) -> Producer | None:
        return self.known.get(producer)


async def all_up() -> Mapping[str, bool]:
    return {"kafka": True, "postgres": True, "settings": True}


@dataclass
class World:
    """A webhook and everything around it."""

    numbers: AnyNumber = field(default_factory=AnyNumber)
    people: MemoryPeople = field(default_factory=MemoryPeople)
    keeping: MemoryKeeping = field(default_factory=MemoryKeeping)
    log: MemoryLog = field(default_factory=MemoryLog)
    secrets: MemorySecrets = field(default_factory=MemorySecrets)
    senders: MemorySenders = field(default_factory=MemorySenders)
    codec: Codec = field(default_factory=Codec.offline)
    bodies: Bodies = field(default_factory=Bodies)
    timeout_s: float = 2.0
    clock: FixedClock = field(default_factory=FixedClock)
    identities: People | None = None

    def inbox(self, beat: Beat | None = None) -> Inbox:
        return Inbox(
            numbers=self.numbers,
            people=self.identities or self.people,
            keeping=self.keeping,
            posting=self.log,
            codec=self.codec,
            clock=self.clock,
            timeout_s=self.timeout_s,
            beat=beat or Beat(seconds=0),
        )

    def app(self) -> FastAPI:
        inbox = self.inbox()
        return build(
            inbox,
            secrets=self.secrets,
            doorway=Doorway(inbox, self.senders, self.numbers, self.clock),
            checks=all_up,
            bodies=self.bodies,
        )

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(self.app())
        async with httpx.AsyncClient(transport=transport, base_url="http://webhook") as client:
            yield client

    @staticmethod
    def raw(body: Any) -> bytes:
        return json.dumps(body).encode()

    async def post(self, body: Any, **headers: str) -> httpx.Response:
        """Post one body, rightly signed unless a header says otherwise."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"X-Hub-Signature-256": signature(raw), **headers}
        async with self.client() as client:
            return await client.post(f"/webhooks/whatsapp/{APP}", content=raw, headers=sent)

    def events(self) -> list[Event]:
        return [
            self.codec.decode(record.value)
            for record in self.log.records
            if not record.topic.endswith(".dlq")
        ]

    def letters(self) -> list[tuple[str, bytes]]:
        """Reason and value of every dead letter."""
        return [
            (dict(record.headers)["dlq.error.type"].decode(), record.value or b"")
            for record in self.log.records
            if record.topic.endswith(".dlq")
        ]
