from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import requests
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import (
    missing_required_header,
    negative_data_rejection,
    positive_data_acceptance,
)

from schemas.events import Event
from sinks.conversations import Conversations
from sinks.database import open_pool
from sinks.migrations import migrate
from sinks.transcripts import Transcripts
from streams.api.app import rest
from streams.api.routes import BODY_BYTES, Desk
from streams.clock import WallClock
from streams.settings import Settings
from tests.sinks.stories import Story
from tests.streams.generated import CONFORMANCE, MODES, answered, operations
from tests.streams.processes import Process, environment, started

pytestmark = pytest.mark.integration

MARIA = Story(name="maria").conversation_id
CHECKS = (*CONFORMANCE, missing_required_header, negative_data_rejection, positive_data_acceptance)


async def no_checks() -> dict[str, bool]:
    return {}


async def never(_: Event) -> None:
    raise NotImplementedError


def document() -> dict[str, Any]:
    nowhere: Any = None  # a document needs no database
    desk = Desk(Conversations(nowhere), never, clock=WallClock(), timeout_s=1)
    return rest(desk, token="", checks=no_checks).openapi()


async def _story(dsn: str) -> None:
    pool = await open_pool(dsn)
    try:
        await migrate(pool)
        await Transcripts(pool).write(Story().whole())
    finally:
        await pool.close()


@pytest.fixture(scope="module")
def people(
    provisioned: Settings, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Process]:
    """The people's API as a process, with one conversation."""
    with ThreadPoolExecutor(1) as threads:
        threads.submit(lambda: asyncio.run(_story(postgres_dsn))).result()
    log = tmp_path_factory.mktemp("api") / "log"
    with started("api", environment(provisioned, postgres_dsn), log) as process:
        yield process


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
@pytest.mark.parametrize("operation", operations(document()), ids=" ".join)
def test_any_request_is_answered_as_documented(
    people: Process, operation: tuple[str, str], mode: GenerationMode
) -> None:
    def prepare(case: Case[Any], real: bool) -> None:
        if real and "conversation_id" in case.path_parameters:
            case.path_parameters["conversation_id"] = MARIA

    def sign(request: requests.PreparedRequest, _: bool) -> None:
        request.headers["Authorization"] = f"Bearer {people.env['API_TOKEN']}"

    seen = answered(people.url, operation, mode, prepare=prepare, sign=sign, checks=CHECKS)

    assert seen & ({200, 202} if mode is GenerationMode.POSITIVE else {400, 404, 422})
    assert "Traceback" not in people.log.read_text()


@pytest.mark.parametrize("length", ["told", "chunked"])
async def test_a_body_that_is_too_large_is_refused_before_the_token_is_read(
    people: Process, length: str
) -> None:
    body = b" " * (BODY_BYTES + 1)

    async def chunks() -> AsyncIterator[bytes]:
        yield body

    async with httpx.AsyncClient(base_url=people.url) as client:
        answer = await client.post(
            f"/v1/conversations/{MARIA}/reply", content=body if length == "told" else chunks()
        )

    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("content", "status", "error"),
    [
        (b'{"text": "\\ud800"}', 422, "invalid_request"),
        (b'{"text": "oi", "\\ud800": 1}', 422, "invalid_request"),
        (b'{"text": "oi\\u0000"}', 422, "invalid_request"),
        (b'{"text": NaN}', 422, "invalid_request"),
        (b'{"text": "\xff"}', 400, "bad_request"),
        (b"[" * 10_000, 400, "bad_request"),
        (b"", 422, "invalid_request"),
    ],
)
async def test_a_body_that_breaks_parsers_is_refused(
    people: Process, content: bytes, status: int, error: str
) -> None:
    headers = {
        "authorization": f"Bearer {people.env['API_TOKEN']}",
        "idempotency-key": "k-1",
        "content-type": "application/json",
    }
    async with httpx.AsyncClient(base_url=people.url, headers=headers) as client:
        answer = await client.post(f"/v1/conversations/{MARIA}/reply", content=content)

    assert (answer.status_code, answer.json()["error"]) == (status, error)


@pytest.mark.parametrize("path", ["/v1/conversations?tenant=%00", "/v1/conversations/%00"])
async def test_nul_in_an_address_is_refused(people: Process, path: str) -> None:
    headers = {"authorization": f"Bearer {people.env['API_TOKEN']}"}
    async with httpx.AsyncClient(base_url=people.url, headers=headers) as client:
        answer = await client.get(path)

    assert answer.status_code in (404, 422)


async def test_what_is_not_there_is_refused_in_the_same_shape(people: Process) -> None:
    async with httpx.AsyncClient(base_url=people.url) as client:
        unknown = await client.get("/v1/nothing")
        wrong = await client.put("/v1/conversations")

    assert (unknown.status_code, unknown.json()) == (404, {"error": "not_found"})
    assert (wrong.status_code, wrong.json()) == (405, {"error": "method_not_allowed"})
