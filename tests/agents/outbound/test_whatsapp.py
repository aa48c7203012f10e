from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
import structlog

from agents.adapters.whatsapp import WhatsAppCourier, body, open_client, receipt_of
from agents.ports import (
    Accepted,
    Letter,
    NotSent,
    Observation,
    Posted,
    Receipt,
    Refused,
    Unknown,
)
from schemas.errors import Unavailable

LETTER = Letter(
    tenant_id="tenant_a",
    phone_number_id="1122334455667",
    wa_id="5511987654321",
    user_id="BR.1",
    text="Olá, tudo bem? 😀",
    reply_to_wamid=None,
    callback_data="v1|tenant_a|conv_0f|cust_0f|b1|1",
)
TOKEN = "secret-token"
OK = {
    "messaging_product": "whatsapp",
    "contacts": [{"input": "5511987654321", "wa_id": "551187654321"}],
    "messages": [{"id": "wamid.HBg", "message_status": "accepted"}],
}
PAIR = {
    "error": {
        "message": "(#131056) (Business Account, Consumer Account) pair rate limit hit",
        "type": "OAuthException",
        "code": 131056,
        "error_data": {"messaging_product": "whatsapp", "details": "to 5511987654321"},
        "fbtrace_id": "A",
    }
}


class Drawer:
    """The tokens of one number."""

    def __init__(self, token: str | None = TOKEN, *, down: bool = False) -> None:
        self._token = token
        self._down = down

    async def token(self, _: str, /) -> str | None:
        if self._down:
            raise Unavailable("postgres")
        return self._token


async def post(
    network: Callable[[httpx.Request], httpx.Response],
    letter: Letter = LETTER,
    tokens: Drawer | None = None,
    seen: list[Observation] | None = None,
) -> Receipt:
    observed = [] if seen is None else seen
    async with httpx.AsyncClient(
        base_url="https://graph.example/v25.0/", transport=httpx.MockTransport(network)
    ) as client:
        courier = WhatsAppCourier(client, tokens or Drawer(), observe=observed.append)
        return await courier.post(letter)


async def test_a_letter_is_posted_as_whatsapp_wants_it() -> None:
    requests: list[httpx.Request] = []

    def network(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json=OK)

    receipt = await post(network)

    (request,) = requests
    assert receipt == Accepted(wamid="wamid.HBg", wa_id="551187654321")
    assert (request.method, str(request.url)) == (
        "POST",
        "https://graph.example/v25.0/1122334455667/messages",
    )
    assert request.headers["authorization"] == "Bearer secret-token"
    assert json.loads(request.content) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "5511987654321",
        "type": "text",
        "text": {"preview_url": False, "body": "Olá, tudo bem? 😀"},
        "biz_opaque_callback_data": "v1|tenant_a|conv_0f|cust_0f|b1|1",
    }


def test_a_business_scoped_id_goes_into_recipient() -> None:
    posted = body(replace(LETTER, wa_id=None))

    assert posted["recipient"] == "BR.1"
    assert "to" not in posted


def test_a_reply_quotes_its_message() -> None:
    assert body(replace(LETTER, reply_to_wamid="wamid.q"))["context"] == {"message_id": "wamid.q"}


@pytest.mark.parametrize(
    ("answer", "receipt"),
    [
        (httpx.Response(200, json=OK), Accepted(wamid="wamid.HBg", wa_id="551187654321")),
        (httpx.Response(200, json={"messages": [{"id": "w"}]}), Accepted(wamid="w")),
        # Taken, but by which id? A status may tell.
        (httpx.Response(200, json={"messages": []}), Unknown(reason="bad_answer")),
        (httpx.Response(200, json={"messages": [{"id": 7}]}), Unknown(reason="bad_answer")),
        (httpx.Response(200, json=[]), Unknown(reason="bad_answer")),
        (httpx.Response(200, text="<html>"), Unknown(reason="bad_answer")),
        (httpx.Response(200), Unknown(reason="bad_answer")),
        # WhatsApp's own errors, by their code.
        (
            httpx.Response(400, json=PAIR),
            Refused(code=131056, status=400, title="OAuthException"),
        ),
        (httpx.Response(500, json={"error": {"code": 131000}}), Refused(code=131000, status=500)),
        (httpx.Response(502, json={"error": {"code": 2}}), Refused(code=2, status=502)),
        (httpx.Response(400, json={"error": {"code": "x"}}), Refused(code=0, status=400)),
        (httpx.Response(400, json={"error": {"code": True}}), Refused(code=0, status=400)),
        (httpx.Response(400, json={"error": "no"}), Refused(code=0, status=400)),
        # No word of WhatsApp: the status decides.
        (httpx.Response(503), Refused(code=0, status=503)),
        (httpx.Response(500, text="oops"), Refused(code=0, status=500)),
        (httpx.Response(429), Refused(code=0, status=429)),
        # A proxy may have passed the request on.
        (httpx.Response(502, text="Bad Gateway"), Unknown(reason="bad_answer")),
        (httpx.Response(504), Unknown(reason="bad_answer")),
        (httpx.Response(302, headers={"location": "https://x"}), Refused(code=0, status=302)),
    ],
)
def test_an_answer_means_one_thing(answer: httpx.Response, receipt: Receipt) -> None:
    assert receipt_of(answer) == receipt


@pytest.mark.parametrize(
    ("fault", "receipt"),
    [
        # Certainly not written.
        (httpx.ConnectError, NotSent(reason="unreachable")),
        (httpx.ConnectTimeout, NotSent(reason="unreachable")),
        (httpx.PoolTimeout, NotSent(reason="unreachable")),
        # Perhaps written.
        (httpx.ReadTimeout, Unknown(reason="timeout")),
        (httpx.WriteTimeout, Unknown(reason="timeout")),
        (httpx.ReadError, Unknown(reason="cut")),
        (httpx.WriteError, Unknown(reason="cut")),
        (httpx.RemoteProtocolError, Unknown(reason="cut")),
        (httpx.DecodingError, Unknown(reason="cut")),
    ],
)
async def test_a_fault_proves_what_it_proves(
    fault: type[httpx.HTTPError], receipt: Receipt
) -> None:
    calls: list[httpx.Request] = []

    def network(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        raise fault("to 5511987654321")

    assert await post(network) == receipt
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("tokens", "receipt"),
    [
        (Drawer(None), NotSent(reason="no_token")),
        (Drawer(down=True), NotSent(reason="token_unavailable")),
    ],
)
async def test_without_a_token_nothing_is_written(tokens: Drawer, receipt: Receipt) -> None:
    def network(_: httpx.Request) -> httpx.Response:
        raise AssertionError("a request was written")

    assert await post(network, tokens=tokens) == receipt


@pytest.mark.parametrize(
    ("answer", "outcome", "code"),
    [
        (httpx.Response(200, json=OK), "accepted", 0),
        (httpx.Response(400, json=PAIR), "refused", 131056),
        (httpx.Response(200), "unknown", 0),
    ],
)
async def test_every_request_is_observed(answer: httpx.Response, outcome: str, code: int) -> None:
    seen: list[Observation] = []

    await post(lambda _: answer, seen=seen)

    (posted,) = seen
    assert isinstance(posted, Posted)
    assert (posted.outcome, posted.code) == (outcome, code)
    assert posted.seconds >= 0


async def test_what_is_told_of_a_request_names_no_customer() -> None:
    seen: list[Observation] = []
    with structlog.testing.capture_logs() as logs:
        receipt = await post(lambda _: httpx.Response(400, json=PAIR), seen=seen)

    told = repr((receipt, seen, logs))
    assert "5511987654321" not in told
    assert "Olá" not in told
    assert "secret-token" not in told


async def test_the_client_joins_the_base_url_and_the_path() -> None:
    urls: list[Any] = []
    async with open_client("http://127.0.0.1:9/v25.0", 2.0) as client:
        urls += [client.build_request("POST", "12/messages").url]

    assert urls == [httpx.URL("http://127.0.0.1:9/v25.0/12/messages")]


async def test_a_closed_port_is_not_sent() -> None:
    async with open_client("http://127.0.0.1:9/v25.0", 2.0) as client:
        assert await WhatsAppCourier(client, Drawer()).post(LETTER) == NotSent(reason="unreachable")


@pytest.mark.parametrize(("answers", "reason"), [(True, "cut"), (False, "timeout")])
async def test_a_server_that_read_the_request_may_have_sent_it(answers: bool, reason: str) -> None:
    released = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if not answers:
            await released.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, open_client(f"http://127.0.0.1:{port}/v25.0", 0.3) as client:
        receipt = await WhatsAppCourier(client, Drawer()).post(LETTER)
        released.set()

    assert receipt == Unknown(reason=reason)
