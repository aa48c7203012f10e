from __future__ import annotations

import asyncio
import copy
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from schemas.avro_schema import schema_of
from schemas.codec import HEADER, MAGIC
from schemas.errors import Misconfigured, Rejected, Unavailable
from schemas.events import TimerFired
from schemas.examples import examples
from schemas.topics import TOPICS
from streams.kafka.provision import Difference, Kind, schema_differences
from streams.kafka.registry import ABSENT_FOR_S, MOST_ABSENT, Refused, Registry, codec_of

SUBJECT = "conversation.timer.fired-value"
TIMER = next(found.event for found in examples() if isinstance(found.event, TimerFired))
URL = "http://registry.test/apis/ccompat/v7"


class FakeRegistry:
    """A registry in memory, at the far end of the real client."""

    def __init__(self) -> None:
        self.subjects: dict[str, list[Any]] = defaultdict(list)
        self.schemas: list[Any] = []
        self.levels: dict[str, str] = {}
        self.asked: list[str] = []
        self.status = 200
        self.instead_of_it: httpx.Response | None = None
        self.now_s = 0.0

    @property
    def client(self) -> Registry:
        transport = httpx.MockTransport(self.answer)
        return Registry(URL + "/", transport=transport, now_s=lambda: self.now_s)

    def add(self, subject: str, schema: Any) -> int:
        if schema not in self.schemas:
            self.schemas.append(schema)
        if schema not in self.subjects[subject]:
            self.subjects[subject].append(schema)
        return self.schemas.index(schema) + 1

    def instead(self, subject: str, schema: Any) -> int:
        self.subjects[subject] = []
        return self.add(subject, schema)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.path.removeprefix('/apis/ccompat/v7')}")
        if self.instead_of_it is not None:
            return self.instead_of_it
        if self.status != httpx.codes.OK:
            said = {"error_code": self.status * 100 + 1, "message": "no"}
            return httpx.Response(self.status, json=said)
        found = self._found(request, self.asked[-1].split("/")[1:])
        status = 404 if found is None else 200
        return httpx.Response(status, json=found if found is not None else {"error_code": 40403})

    def _found(self, request: httpx.Request, path: list[str]) -> Any:
        body = json.loads(request.content or "{}")
        found: Any = None
        match (request.method, *path):
            case ("GET", "schemas", "ids", number) if int(number) <= len(self.schemas):
                found = {"schema": json.dumps(self.schemas[int(number) - 1])}
            case ("POST", "subjects", subject, "versions"):
                found = {"id": self.add(subject, json.loads(body["schema"]))}
            case ("GET", "subjects", subject, "versions") if self.subjects[subject]:
                found = list(range(1, len(self.subjects[subject]) + 1))
            case ("GET", "subjects", subject, "versions", number):
                found = self._version(subject, number)
            case ("PUT", "config", subject):
                self.levels[subject] = body["compatibility"]
                found = body
            case ("GET", "config", subject) if subject in self.levels:
                found = {"compatibilityLevel": self.levels[subject]}
            case _:
                pass
        return found

    def _version(self, subject: str, number: str) -> Any:
        versions = self.subjects[subject]
        place = len(versions) if number == "latest" else int(number)
        if not 1 <= place <= len(versions):
            return None
        schema = versions[place - 1]
        schema_id = self.schemas.index(schema) + 1
        return {"id": schema_id, "version": place, "schema": json.dumps(schema)}


@pytest.fixture
def registry() -> FakeRegistry:
    fake = FakeRegistry()
    for topic in TOPICS:
        fake.add(topic.subject, schema_of(topic.record))
        fake.levels[topic.subject] = "FULL_TRANSITIVE"
    return fake


def _changed(**changes: Any) -> Any:
    schema = copy.deepcopy(schema_of(TimerFired))
    schema.update(changes)
    return schema


def _newer() -> Any:
    schema = _changed()
    schema["fields"].append({"name": "why", "type": "string", "default": ""})
    return schema


async def test_a_codec_writes_with_the_ids_of_the_registry(registry: FakeRegistry) -> None:
    codec = await codec_of(registry.client)
    expected = registry.schemas.index(schema_of(TimerFired)) + 1

    assert codec.encode(TIMER)[: HEADER.size] == HEADER.pack(MAGIC, expected)


async def test_nothing_is_registered_at_run_time(registry: FakeRegistry) -> None:
    await codec_of(registry.client)

    assert {question.split()[0] for question in registry.asked} == {"GET"}


async def test_a_missing_subject_is_named_with_the_command_that_makes_it(
    registry: FakeRegistry,
) -> None:
    del registry.subjects[SUBJECT]

    with pytest.raises(Misconfigured, match=f"{SUBJECT}: run `whaticket topics apply --execute`"):
        await codec_of(registry.client)


async def test_a_schema_that_is_not_ours_in_any_version_is_refused(registry: FakeRegistry) -> None:
    registry.instead(SUBJECT, _newer())

    with pytest.raises(Misconfigured, match=SUBJECT):
        await codec_of(registry.client)


async def test_a_process_of_an_older_release_still_starts(registry: FakeRegistry) -> None:
    registry.add(SUBJECT, _newer())
    codec = await codec_of(registry.client)
    expected = registry.schemas.index(schema_of(TimerFired)) + 1

    assert codec.encode(TIMER)[: HEADER.size] == HEADER.pack(MAGIC, expected)


async def test_a_changed_doc_is_no_reason_not_to_start(registry: FakeRegistry) -> None:
    schema_id = registry.instead(SUBJECT, _changed(doc="Another sentence."))
    codec = await codec_of(registry.client)

    assert codec.encode(TIMER)[: HEADER.size] == HEADER.pack(MAGIC, schema_id)


@pytest.mark.parametrize("status", [500, 502, 503, 429])
async def test_a_registry_in_trouble_is_not_available(registry: FakeRegistry, status: int) -> None:
    registry.status = status

    with pytest.raises(Unavailable) as down:
        await codec_of(registry.client)

    assert down.value.service == "registry"


async def test_a_registry_that_cannot_be_reached_is_not_available() -> None:
    def refuse(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    with pytest.raises(Unavailable):
        await Registry(URL, transport=httpx.MockTransport(refuse)).newest(SUBJECT)


async def test_an_answer_that_is_no_json_is_not_available() -> None:
    page = httpx.MockTransport(lambda _request: httpx.Response(200, text="<html>"))

    with pytest.raises(Unavailable):
        await Registry(URL, transport=page).newest(SUBJECT)


async def test_a_refusal_says_what_the_registry_said(registry: FakeRegistry) -> None:
    registry.status = 409

    with pytest.raises(Refused, match=f"refuses /subjects/{SUBJECT}/versions: 409 no") as refused:
        await registry.client.register(SUBJECT, _newer())

    assert (refused.value.status, refused.value.code) == (409, 40901)


async def test_a_newer_writer_is_learned_at_run_time(registry: FakeRegistry) -> None:
    codec = await codec_of(registry.client)
    schema_id = registry.add(SUBJECT, _newer())
    body = codec.encode(TIMER)[HEADER.size :]

    assert await codec.read(HEADER.pack(MAGIC, schema_id) + body + b"\x00") == TIMER


async def test_an_id_that_does_not_exist_is_asked_for_once_in_a_while(
    registry: FakeRegistry,
) -> None:
    client = registry.client

    answers = [await client.lookup(4242) for _ in range(3)]
    registry.now_s = ABSENT_FOR_S
    answers.append(await client.lookup(4242))

    assert answers == [None] * 4
    assert registry.asked == ["GET /schemas/ids/4242"] * 2


async def test_many_lanes_that_meet_a_new_schema_ask_once(registry: FakeRegistry) -> None:
    client = registry.client

    answers = await asyncio.gather(*(client.lookup(1) for _ in range(20)))

    assert len(set(answers)) == 1
    assert registry.asked == ["GET /schemas/ids/1"]


async def test_noise_does_not_fill_the_memory(registry: FakeRegistry) -> None:
    client = registry.client

    for schema_id in range(100_000, 100_000 + 2 * MOST_ABSENT):
        await client.lookup(schema_id)

    assert len(client._absent) <= MOST_ABSENT


async def test_an_id_that_no_registry_gives_is_not_asked_for(registry: FakeRegistry) -> None:
    assert await registry.client.lookup(2**31) is None
    assert registry.asked == []


@pytest.mark.parametrize("status", [401, 403])
async def test_a_record_waits_while_the_registry_does_not_let_us_in(
    registry: FakeRegistry, status: int
) -> None:
    codec = await codec_of(registry.client)
    registry.status = status

    with pytest.raises(Unavailable) as waits:
        await codec.read(HEADER.pack(MAGIC, 999) + b"x")

    assert waits.value.service == "registry"
    assert f"/schemas/ids/999: {status} no" in str(waits.value)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404, text="default backend"),  # an ingress without its registry
        httpx.Response(404, json={"error_code": 404, "message": "HTTP 404 Not Found"}),
        httpx.Response(405, json=["no"]),
        httpx.Response(407),
        httpx.Response(302, text="log in first"),
        httpx.Response(200, text="log in first"),
        httpx.Response(200, content=b"\xff", headers={"content-type": "application/json"}),
        httpx.Response(200, json={"login": "first"}),
        httpx.Response(200, json=[]),
    ],
    ids=["ingress", "path", "method", "proxy", "redirect", "page", "bytes", "object", "list"],
)
async def test_a_record_waits_while_something_else_answers_for_the_registry(
    registry: FakeRegistry, answer: httpx.Response
) -> None:
    codec = await codec_of(registry.client)
    registry.instead_of_it = answer

    with pytest.raises(Unavailable):
        await codec.read(HEADER.pack(MAGIC, 999) + b"x")


@pytest.mark.parametrize("status", [401, 403])
async def test_nothing_starts_while_the_registry_does_not_let_us_in(
    registry: FakeRegistry, status: int
) -> None:
    registry.status = status

    with pytest.raises(Misconfigured, match=f"{status} no"):
        await codec_of(registry.client)


async def test_a_wrong_address_is_not_taken_for_missing_schemas(registry: FakeRegistry) -> None:
    registry.instead_of_it = httpx.Response(404, text="default backend")

    with pytest.raises(Misconfigured, match="the registry refuses"):
        await codec_of(registry.client)


async def test_an_id_that_the_registry_refuses_is_no_schema(registry: FakeRegistry) -> None:
    codec = await codec_of(registry.client)
    registry.status = 422

    with pytest.raises(Rejected) as refused:
        await codec.read(HEADER.pack(MAGIC, 999) + b"x")

    assert refused.value.reason == "unknown_schema"


async def test_a_provisioned_registry_has_no_differences(registry: FakeRegistry) -> None:
    assert await schema_differences(registry.client) == []


async def test_a_newer_version_beside_ours_is_no_difference(registry: FakeRegistry) -> None:
    """An older release that comes back would else wait for ever until its version is the newest."""
    registry.add(SUBJECT, _newer())

    assert await schema_differences(registry.client) == []


async def test_each_way_to_differ_is_shown(registry: FakeRegistry) -> None:
    del registry.subjects["inbox.message.received-value"]
    registry.instead(SUBJECT, _newer())
    registry.levels[SUBJECT] = "BACKWARD"
    del registry.levels["memory.update.requested-value"]

    assert await schema_differences(registry.client) == [
        Difference(
            Kind.MISSING, "schema", "inbox.message.received-value", wanted="MessageReceived"
        ),
        Difference(Kind.DIFFERENT, "schema", SUBJECT, "version 1", "TimerFired"),
        Difference(Kind.DIFFERENT, "compatibility", SUBJECT, "BACKWARD", "FULL_TRANSITIVE"),
        Difference(
            Kind.MISSING,
            "compatibility",
            "memory.update.requested-value",
            wanted="FULL_TRANSITIVE",
        ),
    ]


class Trickling(httpx.AsyncByteStream):
    """An answer that never ends, of which something always comes in time."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.01)
            yield b" "


async def test_an_answer_that_comes_for_ever_is_no_answer() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Trickling()))
    registry = Registry(URL, transport=transport, timeout_s=0.1)

    async with asyncio.timeout(30):
        with pytest.raises(Unavailable):
            await registry.lookup(1)
