from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.fernet import Fernet

from agents.adapters.whatsapp import WhatsAppCourier, body, open_client, receipt_of
from agents.ports import (
    Accepted,
    Letter,
    NotSent,
    Observation,
    Posted,
    Receipt,
    Refused,
    Template,
    Unknown,
)
from schemas.changing import replace
from schemas.errors import Unavailable
from sinks.vault import Vault

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


NOON, LATE = 1_790_000_000_000, 1_790_000_005_000


class Noon:
    """A clock that stands still."""

    def now_ms(self) -> int:
        return NOON


class Drawer:
    """The tokens of one number."""

    def __init__(self, token: str | None = TOKEN, *, down: bool = False) -> None:
        self._token = token
        self._down = down

    async def token(self, _: str, /) -> str | None:
        if self._down:
            raise Unavailable("postgres")
        return self._token


class Locked(Drawer):
    """A token that another key has sealed."""

    async def token(self, _: str, /) -> str | None:
        sealed = Vault(Fernet.generate_key().decode()).seal(TOKEN)
        return Vault(Fernet.generate_key().decode()).unseal(sealed)


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Streams = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def says(status: int, answer: object = None) -> Answer:
    """WhatsApp that gives every request one answer."""

    async def answered(_: web.Request) -> web.StreamResponse:
        return web.json_response(answer, status=status)

    return answered


async def post(
    network: Answer,
    letter: Letter = LETTER,
    tokens: Drawer | None = None,
    seen: list[Observation] | None = None,
    *,
    until_ms: int = LATE,
) -> Receipt:
    observed = [] if seen is None else seen
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", network)
    async with (
        TestServer(app) as server,
        open_client(f"http://127.0.0.1:{server.port}/v25.0", 2.0) as client,
    ):
        courier = WhatsAppCourier(client, tokens or Drawer(), clock=Noon(), observe=observed.append)
        return await courier.post(letter, until_ms=until_ms)


@asynccontextmanager
async def wire(serve: Streams) -> AsyncIterator[str]:
    """A server that speaks bytes; yields the base URL."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v25.0"


async def test_a_letter_is_posted_as_whatsapp_wants_it() -> None:
    requests: list[tuple[str, str, str, bytes]] = []

    async def network(request: web.Request) -> web.StreamResponse:
        headers = request.headers
        told = (request.method, request.path, headers["authorization"], await request.read())
        requests.append(told)
        assert headers["content-type"] == "application/json"
        return web.json_response(OK)

    receipt = await post(network)

    ((method, path, authorization, sent),) = requests
    assert receipt == Accepted(wamid="wamid.HBg", wa_id="551187654321")
    assert (method, path) == ("POST", "/v25.0/1122334455667/messages")
    assert authorization == "Bearer secret-token"
    assert json.loads(sent) == {
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
    ("status", "answer", "receipt"),
    [
        (200, OK, Accepted(wamid="wamid.HBg", wa_id="551187654321")),
        (200, {"messages": [{"id": "w"}]}, Accepted(wamid="w")),
        # Taken, but by which id? A status may tell.
        (200, {"messages": []}, Unknown(reason="bad_answer")),
        (200, {"messages": [{"id": 7}]}, Unknown(reason="bad_answer")),
        (200, [], Unknown(reason="bad_answer")),
        (200, b"<html>", Unknown(reason="bad_answer")),
        (200, b"", Unknown(reason="bad_answer")),
        # WhatsApp's own errors, by their code.
        (400, PAIR, Refused(code=131056, status=400, title="OAuthException")),
        (500, {"error": {"code": 131000}}, Refused(code=131000, status=500)),
        (502, {"error": {"code": 2}}, Refused(code=2, status=502)),
        (400, {"error": {"code": "x"}}, Refused(code=0, status=400)),
        (400, {"error": {"code": True}}, Refused(code=0, status=400)),
        (400, {"error": "no"}, Refused(code=0, status=400)),
        # No word of WhatsApp: the status decides.
        (503, b"", Refused(code=0, status=503)),
        (500, b"oops", Refused(code=0, status=500)),
        (429, b"", Refused(code=0, status=429)),
        # A proxy may have passed the request on.
        (502, b"Bad Gateway", Unknown(reason="bad_answer")),
        (504, b"", Unknown(reason="bad_answer")),
        (302, b"", Refused(code=0, status=302)),
    ],
)
def test_an_answer_means_one_thing(status: int, answer: object, receipt: Receipt) -> None:
    said = answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    assert receipt_of(status, said) == receipt


@pytest.mark.parametrize(
    ("excepted", "through"), [("", "http://proxy.example:3128"), ("graph.example", None)]
)
async def test_a_proxy_of_the_environment_is_used(
    monkeypatch: pytest.MonkeyPatch, excepted: str, through: str | None
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", excepted)

    async with open_client("https://graph.example/v25.0", 2.0) as client:
        proxy = client._default_proxy

    assert proxy == through


async def test_a_redirect_is_not_followed() -> None:
    asked: list[str] = []

    async def network(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return web.Response(status=307, headers={"location": "/elsewhere"})

    assert await post(network) == Refused(code=0, status=307)
    assert asked == ["/v25.0/1122334455667/messages"]


@pytest.mark.parametrize(
    ("tokens", "receipt"),
    [
        (Drawer(None), NotSent(reason="no_token")),
        (Drawer(down=True), NotSent(reason="token_unavailable")),
        (Locked(), NotSent(reason="token_unavailable")),
    ],
)
async def test_without_a_token_nothing_is_written(tokens: Drawer, receipt: Receipt) -> None:
    async def network(_: web.Request) -> web.StreamResponse:
        raise AssertionError("a request was written")

    assert await post(network, tokens=tokens) == receipt


@pytest.mark.parametrize(
    ("answer", "outcome", "code"),
    [
        (says(200, OK), "accepted", 0),
        (says(400, PAIR), "refused", 131056),
        (says(200), "unknown", 0),
    ],
)
async def test_every_request_is_observed(answer: Answer, outcome: str, code: int) -> None:
    seen: list[Observation] = []

    await post(answer, seen=seen)

    (posted,) = seen
    assert isinstance(posted, Posted)
    assert (posted.outcome, posted.code) == (outcome, code)
    assert posted.seconds >= 0


async def test_what_is_told_of_a_request_names_no_customer() -> None:
    seen: list[Observation] = []
    with structlog.testing.capture_logs() as logs:
        receipt = await post(says(400, PAIR), seen=seen)

    told = repr((receipt, seen, logs))
    assert "5511987654321" not in told
    assert "Olá" not in told
    assert "secret-token" not in told


@pytest.mark.parametrize(
    "base_url", ["http://127.0.0.1:9/v25.0", "https://127.0.0.1:9/", "http://nowhere.invalid/"]
)
async def test_who_cannot_be_reached_was_sent_nothing(base_url: str) -> None:
    async with open_client(base_url, 2.0) as client:
        courier = WhatsAppCourier(client, Drawer(), clock=Noon())

        assert await courier.post(LETTER, until_ms=LATE) == NotSent(reason="unreachable")


async def test_a_claim_that_expired_while_a_connection_was_waited_for_is_not_used() -> None:
    reached = []

    async def answered(request: web.Request) -> web.StreamResponse:
        reached.append(request)
        return web.json_response(OK)

    assert await post(answered, until_ms=NOON - 1) == NotSent(reason="claim_expired")
    assert reached == []


async def test_the_claim_is_looked_at_when_token_and_connection_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps: list[str] = []

    class Slow(Drawer):
        async def token(self, number: str, /) -> str | None:
            steps.append("token")
            return await super().token(number)

    def looked(_: Noon) -> int:
        steps.append("looked")
        return NOON

    async def answered(_: web.Request) -> web.StreamResponse:
        steps.append("written")
        return web.json_response(OK)

    monkeypatch.setattr(Noon, "now_ms", looked)
    await post(answered, tokens=Slow())

    assert steps == ["token", "looked", "written"]


async def test_a_template_carries_the_words_as_its_parameter() -> None:
    letter = replace(
        LETTER, template=Template(name="retomar", language="pt_BR", parameter="Olá, tudo bem?")
    )

    written = body(letter)

    assert written["type"] == "template"
    assert written["template"] == {
        "name": "retomar",
        "language": {"code": "pt_BR"},
        "components": [
            {"type": "body", "parameters": [{"type": "text", "text": "Olá, tudo bem?"}]}
        ],
    }
    assert "text" not in written


async def test_who_waits_for_a_connection_in_vain_was_sent_nothing() -> None:
    taken, released = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        taken.set()
        await released.wait()
        writer.close()

    impatient = aiohttp.ClientTimeout(connect=0.2)
    one = aiohttp.TCPConnector(limit=1)
    async with (
        wire(serve) as url,
        aiohttp.ClientSession(f"{url}/", connector=one, timeout=impatient) as client,
    ):
        courier = WhatsAppCourier(client, Drawer(), clock=Noon())
        first = asyncio.create_task(courier.post(LETTER, until_ms=LATE))
        await taken.wait()
        late = await courier.post(LETTER, until_ms=LATE)
        released.set()
        await first

    assert late == NotSent(reason="unreachable")


async def cut(_: asyncio.StreamWriter) -> None:
    """Close without a word."""


def sends(answer: bytes) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return send


@pytest.mark.parametrize(
    "rest",
    [
        cut,
        sends(b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{"),
        sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        sends(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"),
        sends(b"SSH-2.0-OpenSSH\r\n\r\n"),
    ],
    ids=["closed", "half a body", "bad chunks", "bad gzip", "no HTTP"],
)
async def test_a_server_that_read_the_request_may_have_sent_it(
    rest: Callable[[asyncio.StreamWriter], Awaitable[None]],
) -> None:
    read: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        read.append(await reader.readuntil(b"\r\n\r\n"))
        await rest(writer)
        writer.close()

    async with wire(serve) as url, open_client(url, 2.0) as client:
        receipt = await WhatsAppCourier(client, Drawer(), clock=Noon()).post(LETTER, until_ms=LATE)

    assert receipt == Unknown(reason="cut")
    assert len(read) == 1


@pytest.mark.parametrize("begins", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
async def test_a_slow_answer_is_not_known(begins: bytes) -> None:
    released = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(begins)
        await released.wait()
        writer.close()

    async with wire(serve) as url, open_client(url, 0.3) as client:
        receipt = await WhatsAppCourier(client, Drawer(), clock=Noon()).post(LETTER, until_ms=LATE)
        released.set()

    assert receipt == Unknown(reason="timeout")


async def test_a_request_on_a_connection_that_closes_is_written_once() -> None:
    """A client that repeated it on a new connection would send the message twice."""
    read: list[int] = []
    answer = json.dumps(OK).encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in (1, 2):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(x for x in head.lower().split(b"\r\n") if x.startswith(b"content-length"))
            await reader.readexactly(int(length.split(b":")[1]))
            read.append(number)
            if number == 1:
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer
                )
                await writer.drain()
        writer.close()

    async with wire(serve) as url, open_client(url, 2.0) as client:
        courier = WhatsAppCourier(client, Drawer(), clock=Noon())
        receipts = [
            await courier.post(LETTER, until_ms=LATE),
            await courier.post(LETTER, until_ms=LATE),
        ]

    assert receipts == [Accepted(wamid="wamid.HBg", wa_id="551187654321"), Unknown(reason="cut")]
    assert read == [1, 2]
