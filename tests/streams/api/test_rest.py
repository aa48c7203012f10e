from __future__ import annotations

from typing import Any

import asyncpg
import httpx
import pytest
from prometheus_client import REGISTRY

from schemas.events import (
    Command,
    ControlRequested,
    HumanReplied,
    Person,
    Phase,
    ReplyOrigin,
)
from sinks.conversations import Conversations
from sinks.database import open_pool
from sinks.transcripts import Transcripts
from streams.api.app import rest
from streams.api.routes import Desk
from tests.sinks.stories import NUMBER, Story
from tests.streams.api.conftest import BEARER, Clock, Log

pytestmark = pytest.mark.integration

MARIA = Story(name="maria").conversation_id
KEY = {"idempotency-key": "k-1"}


@pytest.fixture(autouse=True)
async def _story(pool: asyncpg.Pool) -> None:
    await Transcripts(pool).write(Story().whole())


async def test_a_reply_is_on_the_log_before_it_is_accepted(
    api: httpx.AsyncClient, log: Log, clock: Clock
) -> None:
    answer = await api.post(
        f"/v1/conversations/{MARIA}/reply", headers=KEY, json={"text": "Oi!", "agent_user": "7"}
    )

    (event,) = log.events
    assert isinstance(event, HumanReplied)
    assert (answer.status_code, answer.json()) == (
        202,
        {"event_id": event.event_id, "conversation_id": MARIA},
    )
    assert (event.tenant_id, event.customer_id, event.phone_number_id) == (
        ("acme", "cust_acme_maria", NUMBER)
    )
    assert (event.text, event.agent_user, event.origin, event.occurred_at) == (
        ("Oi!", "7", ReplyOrigin.CONSOLE, clock.now)
    )


@pytest.mark.parametrize(
    ("identifier", "person"),
    [
        ("wa:551100000001", Person(wa_id="551100000001")),
        ("user:BR.77", Person(user_id="BR.77")),
    ],
)
async def test_a_reply_names_a_customer_whose_first_message_is_still_on_its_way(
    api: httpx.AsyncClient, log: Log, pool: asyncpg.Pool, identifier: str, person: Person
) -> None:
    """Dispatch may see the reply before the message, and knows nobody to send it to then."""
    conversation_id = f"conv_{identifier[-2:]}"
    await pool.execute(
        "INSERT INTO identity (tenant_id, phone_number_id, identifier, conversation_id,"
        " customer_id, person) VALUES ('acme', $1, $2, $3, 'cust_new', $2)"
        " ON CONFLICT DO NOTHING",
        NUMBER,
        identifier,
        conversation_id,
    )

    await api.post(f"/v1/conversations/{conversation_id}/reply", headers=KEY, json={"text": "Oi"})

    (event,) = log.events
    assert isinstance(event, HumanReplied)
    assert event.recipient == person


async def test_the_same_key_is_the_same_event_and_the_same_answer(
    api: httpx.AsyncClient, log: Log, clock: Clock
) -> None:
    path = f"/v1/conversations/{MARIA}/reply"
    first = await api.post(path, headers=KEY, json={"text": "Oi!"})
    clock.now += 60_000
    second = await api.post(path, headers=KEY, json={"text": "Oi!"})
    other = await api.post(path, headers={"idempotency-key": "k-2"}, json={"text": "Oi!"})

    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert first.json() != other.json()
    assert log.events[0].event_id == log.events[1].event_id


@pytest.mark.parametrize("command", ["takeover", "release", "pause", "close", "unpark"])
async def test_a_command_is_put_on_the_log(api: httpx.AsyncClient, log: Log, command: str) -> None:
    answer = await api.post(f"/v1/conversations/{MARIA}/{command}", headers=KEY)

    (event,) = log.events
    assert answer.status_code == 202
    assert isinstance(event, ControlRequested)
    assert (event.command, event.request_id, event.until) == (Command(command), "k-1", None)


@pytest.mark.parametrize("command", ["tag", "untag"])
async def test_a_tag_of_the_helpdesk_is_put_on_the_log(
    api: httpx.AsyncClient, log: Log, command: str
) -> None:
    body = {"tag": "atendimento-humano"}
    answer = await api.post(f"/v1/conversations/{MARIA}/{command}", headers=KEY, json=body)
    without = await api.post(f"/v1/conversations/{MARIA}/{command}", headers=KEY)

    (event,) = log.events
    assert (answer.status_code, without.status_code) == (202, 422)
    assert isinstance(event, ControlRequested)
    assert (event.command, event.tag) == (Command(command), "atendimento-humano")


async def test_a_pause_may_end_by_itself(api: httpx.AsyncClient, log: Log) -> None:
    body = {"until": "2026-10-01T12:00:00-03:00", "agent_user": "7"}
    await api.post(f"/v1/conversations/{MARIA}/pause", headers=KEY, json=body)

    (event,) = log.events
    assert isinstance(event, ControlRequested)
    assert (event.until, event.agent_user) == (1_790_866_800_000, "7")


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"text": ""}, KEY),
        ({"text": "  "}, KEY),
        ({"text": "a" * 4097}, KEY),
        ({"text": 5}, KEY),
        ({}, KEY),
        ({"text": "Oi", "extra": 1}, KEY),
        ({"text": "Oi", "agent_user": "a b"}, KEY),
        ({"text": "Oi"}, {}),  # no idempotency key
        ({"text": "Oi"}, {"idempotency-key": "k" * 201}),
    ],
)
async def test_a_wrong_request_is_refused_without_repeating_it(
    api: httpx.AsyncClient, log: Log, body: dict[str, Any], headers: dict[str, str]
) -> None:
    answer = await api.post(f"/v1/conversations/{MARIA}/reply", json=body, headers=headers)

    assert (answer.status_code, answer.json()["error"]) == (422, "invalid_request")
    assert "aaaa" not in answer.text
    assert log.events == []


@pytest.mark.parametrize("given", ["", "Bearer wrong", "Basic abc", f"bearer{BEARER}"])
async def test_nobody_gets_in_without_the_token(api: httpx.AsyncClient, given: str) -> None:
    answer = await api.get(f"/v1/conversations/{MARIA}", headers={"authorization": given})

    assert (answer.status_code, answer.json()) == (401, {"error": "unauthorized"})


@pytest.mark.parametrize("name", ["conv_nobody", "%00", "a" * 500])
async def test_an_unknown_conversation_is_not_found(
    api: httpx.AsyncClient, log: Log, name: str
) -> None:
    answer = await api.post(f"/v1/conversations/{name}/reply", headers=KEY, json={"text": "Oi"})

    assert (answer.status_code, answer.json()) == (404, {"error": "unknown_conversation"})
    assert log.events == []


@pytest.mark.parametrize("how", ["down", "slow"])
async def test_nothing_is_accepted_while_kafka_is_down(
    api: httpx.AsyncClient, log: Log, how: str
) -> None:
    setattr(log, how, True)

    answer = await api.post(f"/v1/conversations/{MARIA}/takeover", headers=KEY)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.json() == {"error": "unavailable", "service": "kafka"}


async def test_nothing_is_accepted_while_postgres_is_down(clock: Clock, log: Log) -> None:
    nowhere = await open_pool("postgresql://nobody@127.0.0.1:1/nothing")
    desk = Desk(Conversations(nowhere), log.publish, clock=clock, timeout_s=1)
    app = rest(desk, token=BEARER, checks=_no_checks)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://api",
        headers={"authorization": f"Bearer {BEARER}"},
    ) as client:
        answer = await client.post(f"/v1/conversations/{MARIA}/close", headers=KEY)

    assert (answer.status_code, answer.json()["service"]) == (503, "postgres")
    await nowhere.close()


async def _no_checks() -> dict[str, bool]:
    return {}


async def test_a_conversation_is_read_with_its_messages_and_outcomes(
    api: httpx.AsyncClient,
) -> None:
    found = (await api.get(f"/v1/conversations/{MARIA}")).json()

    assert found["conversation"]["phase"] == "closed"
    assert found["conversation"]["customer"] == "Maria"
    assert [message["id"] for message in found["messages"]] == [
        "m1",
        "m2",
        "b1",
        "m3",
        "b2",
        "m4",
    ]
    assert {each["wamid"]: each["outcome"] for each in found["outcomes"]} == {
        "m1": "answered",
        "m2": "answered",
        "m3": "handed",
    }


async def test_a_company_lists_its_own_conversations_only(
    api: httpx.AsyncClient, pool: asyncpg.Pool
) -> None:
    await Transcripts(pool).write(Story(tenant_id="other").whole())
    waiting = Story(name="joão")
    await Transcripts(pool).write([waiting.step(Phase.WITH_HUMAN, 99_000, unread=2)])

    everything = (await api.get("/v1/conversations", params={"tenant": "acme"})).json()
    pending = {"tenant": "acme", "status": "pending"}
    listed = (await api.get("/v1/conversations", params=pending)).json()["conversations"]

    assert [each["conversation_id"] for each in everything["conversations"]] == [
        waiting.conversation_id,
        MARIA,
    ]
    assert [(each["conversation_id"], each["unread"]) for each in listed] == [
        (waiting.conversation_id, 2)
    ]


async def test_pages_of_conversations_leave_out_none_that_changed_in_the_same_millisecond(
    api: httpx.AsyncClient, pool: asyncpg.Pool
) -> None:
    names = ["ana", "bia", "caio", "duda", "eva"]
    await Transcripts(pool).write(
        [record for name in names for record in Story("busy", name).whole()]
    )

    seen: list[str] = []
    page: dict[str, Any] = {"tenant": "busy", "limit": 2}
    while rows := (await api.get("/v1/conversations", params=page)).json()["conversations"]:
        seen += [row["conversation_id"] for row in rows]
        page |= {"before_ms": rows[-1]["updated_ms"], "before_id": rows[-1]["conversation_id"]}

    assert seen == [Story("busy", name).conversation_id for name in names]


async def test_requests_are_counted_by_route_and_never_by_path(api: httpx.AsyncClient) -> None:
    await api.get(f"/v1/conversations/{MARIA}")
    await api.get("/no/such/path")

    counted = {
        (sample.labels["path"], sample.labels["status"])
        for metric in REGISTRY.collect()
        if metric.name == "http_requests"
        for sample in metric.samples
        if sample.name == "http_requests_total"
    }
    assert ("/v1/conversations/{conversation_id}", "200") in counted
    assert ("unmatched", "404") in counted
    assert not any(MARIA in path or "such" in path for path, _ in counted)


async def test_ready_is_what_its_dependencies_are_and_live_is_itself(
    api: httpx.AsyncClient, log: Log
) -> None:
    up = await api.get("/health/ready")
    log.down = True
    down = [(await api.get(path)).status_code for path in ("/health/ready", "/health")]

    assert (up.status_code, up.json()["checks"]) == (200, {"kafka": True})
    assert down == [503, 503]
    assert (await api.get("/health/live")).status_code == 200
    assert b"http_requests_total" in (await api.get("/metrics")).content
