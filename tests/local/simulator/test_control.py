from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from streams.clock import MovableClock
from streams.local.simulator import Simulator, application
from tests.local.simulator.surroundings import AUTH, NUMBER, Clock

PATH = f"/v25.0/{NUMBER}/messages"
TEXT = {
    "messaging_product": "whatsapp",
    "to": "5511999990001",
    "type": "text",
    "text": {"body": "Olá"},
}
TOKEN = "planted-token"
CONTROLS = [
    ("GET", "/_simulator/control"),
    ("PATCH", "/_simulator/rules"),
    ("PATCH", f"/_simulator/numbers/{NUMBER}"),
    ("POST", "/_simulator/clock"),
    ("POST", "/_simulator/misbehaviour"),
    ("POST", "/_simulator/tokens"),
    ("POST", "/_simulator/templates"),
]


async def send(client: httpx.AsyncClient, token: str = TOKEN) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"}
    answer = await client.post(PATH, json=TEXT, headers=headers)
    return answer.status_code, answer.json().get("error")


EXPIRED = (
    "Error validating access token: Session has expired on Tuesday, 14-Nov-23 14:13:20 PST."
    " The current time is Tuesday, 14-Nov-23 14:14:20 PST."
)
REVOKED = (
    "Error validating access token: The session has been invalidated because the user changed"
    " their password or Facebook has changed the session for security reasons."
)
LOGGED_OUT = "Error validating access token: The session is invalid because the user logged out."
REMOVED = "Error validating access token: The user has not authorized application 100000000000000."
FORBIDDEN = "(#10) Application does not have permission for this action"


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("expired", (401, 190, 463, EXPIRED)),
        ("revoked", (401, 190, 460, REVOKED)),
        ("logged_out", (401, 190, 467, LOGGED_OUT)),
        ("removed", (401, 190, 458, REMOVED)),
        ("forbidden", (403, 10, None, FORBIDDEN)),
    ],
)
async def test_a_token_can_be_ended_in_each_of_metas_ways(
    client: httpx.AsyncClient, clock: Clock, state: str, expected: tuple[int, int, int, str]
) -> None:
    before, _ = await send(client)
    ended = await client.post("/_simulator/tokens", json={"state": state})
    clock.now += 60_000
    after, error = await send(client)

    assert before == 200
    assert ended.json() == {"state": state, "tokens": 1}
    found = (after, error["code"], error.get("error_subcode"), error["message"])
    assert found == expected
    assert error["type"] == "OAuthException"


async def test_a_new_token_is_good_and_an_ended_one_can_be_made_good_again(
    client: httpx.AsyncClient,
) -> None:
    await send(client, "first")
    await client.post("/_simulator/tokens", json={"state": "expired"})
    ended, _ = await send(client, "first")
    fresh, _ = await send(client, "second")
    await client.post("/_simulator/tokens", json={"state": "valid", "token": "first"})
    again, _ = await send(client, "first")

    assert [ended, fresh, again] == [401, 200, 200]


async def test_only_the_tokens_of_one_number_can_be_ended(client: httpx.AsyncClient) -> None:
    await send(client, "ours")
    await client.post("/v25.0/9/messages", json=TEXT, headers={"Authorization": "Bearer theirs"})
    ended = await client.post(
        "/_simulator/tokens", json={"state": "revoked", "phone_number_id": "9"}
    )
    ours, _ = await send(client, "ours")
    theirs, _ = await send(client, "theirs")

    assert ended.json()["tokens"] == 1
    assert (ours, theirs) == (200, 401)


async def test_an_ended_token_fetches_no_file(client: httpx.AsyncClient) -> None:
    await client.post("/_simulator/tokens", json={"state": "expired", "token": "planted-token"})

    answer = await client.get("/v25.0/4711", headers=AUTH)

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, 190)


async def test_nothing_that_is_told_holds_a_token(client: httpx.AsyncClient) -> None:
    await client.post("/_simulator/tokens", json={"state": "expired", "token": "planted-token"})
    _, error = await send(client)

    told = (await client.get("/_simulator/control")).text + str(error)
    assert "planted-token" not in told


@pytest.mark.parametrize(("method", "path"), CONTROLS)
async def test_control_is_for_this_machine_only(
    simulator: Simulator, method: str, path: str
) -> None:
    transport = httpx.ASGITransport(application(simulator), client=("10.1.2.3", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://sim") as stranger:
        answer = await stranger.request(method, path, json={"meta": True})

    assert answer.status_code == 403
    assert not simulator.meta.on


@pytest.mark.parametrize(("method", "path"), CONTROLS[1:])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"unknown": 1}', b'{"mps": "many"}'])
async def test_a_control_request_that_cannot_be_read_is_refused(
    client: httpx.AsyncClient, method: str, path: str, body: bytes
) -> None:
    answer = await client.request(method, path, content=body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 100)


async def test_a_rate_of_nothing_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.patch("/_simulator/rules", json={"mps": 0})

    assert answer.status_code == 400


async def test_the_clock_of_all_processes_is_moved_over_http(tmp_path: Path) -> None:
    shared = MovableClock(tmp_path / "clock")
    simulator = Simulator(None, MovableClock(tmp_path / "clock"), seed=7)
    transport = httpx.ASGITransport(application(simulator))
    async with httpx.AsyncClient(transport=transport, base_url="http://sim") as client:
        moved = await client.post("/_simulator/clock", json={"advance_s": 604_800})
        backwards = await client.post("/_simulator/clock", json={"advance_s": -1})
        told = (await client.get("/_simulator/clock")).json()

    assert (moved.status_code, backwards.status_code) == (200, 400)
    assert shared.ahead_ms == 604_800_000
    assert (told["movable"], told["ahead_s"], told["speed"]) == (True, 604_800, 1)


async def test_the_machines_clock_cannot_be_moved(client: httpx.AsyncClient) -> None:
    answer = await client.post("/_simulator/clock", json={"advance_s": 1})

    assert answer.status_code == 400
    assert "--movable-clock" in answer.json()["error"]["error_data"]["details"]
    assert (await client.get("/_simulator/clock")).json()["movable"] is False
