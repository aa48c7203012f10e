"""Bad inputs over HTTP, to a whole webhook on a real Kafka: answered, counted, and not logged."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.topics import HUMAN_REPLIED, MESSAGE_RECEIVED, STATUS_RECEIVED
from tests.streams.webhook.running import Running, events, reading
from tests.streams.webhook.world import TOKEN, bodies, change, envelope, expected, signature, text

pytestmark = pytest.mark.integration

MARKER = "planted-marker-4712"
CUSTOMER = "5511987650001"
EVENTS = (MESSAGE_RECEIVED.name, STATUS_RECEIVED.name, HUMAN_REPLIED.name)
STRANGE = "\u202eright to left\u200b 😮 " + MARKER
LETTERS = f"{MESSAGE_RECEIVED.name}.dlq"

Body = Callable[[str], bytes]
"""Makes a body for a business number."""


def said(**own: Any) -> Body:
    """One message of any shape, with the marker in its text."""

    def body(number: str) -> bytes:
        message = {**text(f"wamid.{MARKER}", CUSTOMER, MARKER), **own}
        kept = {key: value for key, value in message.items() if value is not ...}
        return json.dumps(envelope(change(number=number, messages=[kept]))).encode()

    return body


def rewritten(old: bytes, new: bytes) -> Body:
    """The plain message with some of its bytes replaced."""

    def body(number: str) -> bytes:
        plain = said()(number)
        assert old in plain
        return plain.replace(old, new)

    return body


def raw(content: bytes) -> Body:
    return lambda _: content


def batch(number: str) -> bytes:
    """A thousand updates: 500 messages, 300 statuses, 200 that are nothing."""
    good = [text(f"wamid.{MARKER}.{n}", f"55119876{n:05}", MARKER) for n in range(500)]
    statuses = [{"id": f"s{n}", "status": "read", "recipient_id": CUSTOMER} for n in range(300)]
    bad: list[Any] = [None, 5, MARKER, [], {}] * 40
    whole = change(number=number, messages=[*good, *bad], statuses=statuses)
    return json.dumps(envelope(whole)).encode()


class Log:
    """How many records are on the topics of the webhook."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self.consumer = consumer

    async def counts(self) -> tuple[int, int]:
        """Events and dead letters so far; only what is acknowledged is counted."""
        places = [
            TopicPartition(topic, partition)
            for topic in (*EVENTS, LETTERS)
            for partition in self.consumer.partitions_for_topic(topic) or ()
        ]
        ends = await self.consumer.end_offsets(places)
        letters = sum(end for place, end in ends.items() if place.topic == LETTERS)
        return sum(ends.values()) - letters, letters


@pytest.fixture
async def log(webhook: Running) -> AsyncIterator[Log]:
    consumer = AIOKafkaConsumer(
        *EVENTS, LETTERS, bootstrap_servers=webhook.settings.kafka_bootstrap
    )
    await consumer.start()
    try:
        yield Log(consumer)
    finally:
        await consumer.stop()


@asynccontextmanager
async def adding(log: Log, webhook: Running, *, events: int, letters: int) -> AsyncIterator[None]:
    """Say what the block puts on the log; nothing that was posted may be logged."""
    before = await log.counts()
    yield
    after = await log.counts()
    assert (after[0] - before[0], after[1] - before[1]) == (events, letters)
    assert MARKER not in webhook.log.read_text()


@pytest.mark.parametrize(
    ("body", "events", "letters"),
    [
        pytest.param(said(), 1, 0, id="good"),
        pytest.param(raw(b""), 0, 1, id="nothing"),
        pytest.param(raw(MARKER.encode()), 0, 1, id="no JSON"),
        pytest.param(rewritten(MARKER.encode(), b"\xff\xfe"), 0, 1, id="invalid UTF-8"),
        pytest.param(rewritten(b'"type": "text"', b'"type": NaN'), 0, 1, id="NaN"),
        pytest.param(raw(b"[" * 10_000 + b"]" * 10_000), 0, 1, id="10,000 deep"),
        pytest.param(
            rewritten(b'"id": "wamid', b'"id": "x", "id": "wamid'), 1, 0, id="duplicate keys"
        ),
        pytest.param(rewritten(MARKER.encode(), rb"\ud83d"), 1, 0, id="lone surrogate"),
        pytest.param(rewritten(MARKER.encode(), rb"a\u0000b"), 1, 0, id="NUL"),
        pytest.param(said(text={"body": STRANGE}), 1, 0, id="RTL, emoji"),
        pytest.param(said(id=2**63, **{"from": int(CUSTOMER)}), 1, 0, id="ids as numbers"),
        pytest.param(said(id="a\r\nx-evil: 1\r\n\r\n" + MARKER), 1, 0, id="header in an id"),
        pytest.param(said(timestamp="99999999999"), 1, 0, id="the far future"),
        pytest.param(said(timestamp=0), 1, 0, id="1970"),
        pytest.param(said(timestamp=MARKER), 1, 0, id="no time"),
        pytest.param(said(type="hologram", hologram={"id": MARKER}), 1, 0, id="unknown type"),
        pytest.param(said(type=..., text=...), 1, 0, id="no type"),
        pytest.param(
            said(type="reaction", reaction={"message_id": "wamid.1", "emoji": "😮"}), 1, 0,
            id="reaction",
        ),
        pytest.param(
            said(type="revoke", revoke={"original_message_id": "wamid.1"}), 1, 0, id="deleted"
        ),
        pytest.param(
            said(type="system", system={"type": "user_changed_number", "body": MARKER}), 1, 0,
            id="system",
        ),
        pytest.param(
            said(type="order", order={"catalog_id": "1", "product_items": [], "text": MARKER}),
            1, 0, id="order",
        ),
        pytest.param(
            said(type="image", image={"caption": MARKER}), 1, 0, id="media with caption only"
        ),
        pytest.param(said(**{"from": "+55 (11) 98765-0001"}), 1, 0, id="a spelled phone"),
        pytest.param(said(**{"from": "5511987650001" * 40}), 1, 0, id="an endless phone"),
        pytest.param(said(**{"from": ""}), 0, 1, id="no phone"),
        pytest.param(batch, 800, 200, id="a thousand updates, good and bad"),
    ],
)  # fmt: skip
async def test_a_signed_body_is_answered_with_200_and_all_of_it_is_kept(
    webhook: Running, log: Log, body: Body, events: int, letters: int
) -> None:
    async with adding(log, webhook, events=events, letters=letters):
        answer = await webhook.post(body(webhook.number))

    assert (answer.status_code, answer.content) == (200, b"")


GOOD = said()("1")
RIGHT = signature(GOOD)
BOMB = gzip.compress(b"0" * 10**7)


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        pytest.param(GOOD, {"X-Hub-Signature-256": ""}, 401, id="no signature"),
        pytest.param(GOOD, {"X-Hub-Signature-256": RIGHT[:-1]}, 401, id="short"),
        pytest.param(GOOD, {"X-Hub-Signature-256": RIGHT.upper()}, 401, id="upper case"),
        pytest.param(GOOD, {"X-Hub-Signature-256": "sha1=" + RIGHT[7:]}, 401, id="sha1="),
        pytest.param(
            GOOD, {"X-Hub-Signature-256": signature(orjson.dumps(orjson.loads(GOOD)))}, 401,
            id="of the JSON encoded again",
        ),
        pytest.param(BOMB, {"Content-Encoding": "gzip"}, 415, id="gzip bomb"),
        pytest.param(zlib.compress(GOOD), {"Content-Encoding": "deflate"}, 415, id="deflate"),
        pytest.param(b"x" * (10 * 1024 * 1024), {}, 413, id="10 MB"),
    ],
)  # fmt: skip
async def test_what_is_refused_leaves_nothing(
    webhook: Running, log: Log, content: bytes, headers: dict[str, str], status: int
) -> None:
    async with adding(log, webhook, events=0, letters=0):
        answer = await webhook.post(content, **headers)

    assert (answer.status_code, answer.content) == (status, b"")


async def test_one_message_a_hundred_times_at_once_has_one_id(webhook: Running) -> None:
    body = said(id="wamid.hundred")(webhook.number)
    async with reading(webhook.settings, MESSAGE_RECEIVED.name) as consumer:
        async with webhook.client() as client:
            sent = {"X-Hub-Signature-256": signature(body)}
            posts = [client.post(webhook.path, content=body, headers=sent) for _ in range(100)]
            answers = await asyncio.gather(*posts)

        found = await events(consumer, webhook.settings, 100)

    assert {answer.status_code for answer in answers} == {200}
    assert len({(event.event_id, event.idempotency_key) for event in found}) == 1


async def test_statuses_may_come_before_their_message(webhook: Running, log: Log) -> None:
    status = {"id": "wamid.later", "status": "read", "recipient_id": CUSTOMER, "timestamp": "1"}
    body = envelope(change(number=webhook.number, statuses=[status]))

    async with adding(log, webhook, events=1, letters=0):
        answer = await webhook.post(body)

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "change_of",
    [
        lambda good: [*good.items(), *good.items()],
        lambda good: [(f"{name}[]", value) for name, value in good.items()],
        lambda good: [(f"{name}[0]", value) for name, value in good.items()],
        lambda good: [("hub", json.dumps(good))],
        lambda good: {**good, "hub.challenge": "1\r\nset-cookie: a=b"}.items(),
        lambda good: {**good, "hub.challenge": "<script>é"}.items(),
        lambda good: {**good, "hub.verify_token": TOKEN + "\x00"}.items(),
    ],
)
async def test_a_check_with_arrays_or_line_breaks_is_403(
    webhook: Running, change_of: Callable[[dict[str, str]], Any]
) -> None:
    good = {"hub.mode": "subscribe", "hub.challenge": "1", "hub.verify_token": TOKEN}

    async with webhook.client() as client:
        right = await client.get(webhook.path, params=good)
        answer = await client.get(webhook.path, params=list(change_of(good)))

    assert (right.status_code, right.text) == (200, "1")
    assert (answer.status_code, answer.content) == (403, b"")
    assert "set-cookie" not in answer.headers


async def test_every_recorded_body_is_answered_with_200_and_all_of_it_is_kept(
    webhook: Running, log: Log
) -> None:
    recorded = bodies()
    parts = sum(sum(expected(body).values()) for _, body in recorded)

    before = await log.counts()
    async with webhook.client() as client:
        answers = [await _of_ours(client, webhook, body) for _, body in recorded]
    after = await log.counts()

    assert len(recorded) > 100
    assert {answer.status_code for answer in answers} == {200}
    assert sum(after) - sum(before) == parts
    assert after[0] - before[0] > len(recorded) / 2


async def _of_ours(client: httpx.AsyncClient, webhook: Running, body: Any) -> httpx.Response:
    """Post a recorded body as if it were about our business number."""
    for one in (one for entry in body["entry"] for one in entry["changes"]):
        if "phone_number_id" in one["value"].get("metadata", {}):
            one["value"]["metadata"]["phone_number_id"] = webhook.number
    content = json.dumps(body).encode()
    headers = {"X-Hub-Signature-256": signature(content)}
    return await client.post(webhook.path, content=content, headers=headers)
