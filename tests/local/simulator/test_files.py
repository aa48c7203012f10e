from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from streams.local.simulator import Simulator
from streams.local.simulator.filetypes import LARGEST, MIB
from streams.local.simulator.shelf import Shelf
from tests.local.simulator.surroundings import AUTH, NUMBER, Clock

FORM = {"messaging_product": "whatsapp"}
PHOTO = ("photo.png", b"\x89PNG planted", "image/png")
DAY_MS = 86_400_000


async def uploaded(client: httpx.AsyncClient, file: tuple[str, bytes, str] = PHOTO) -> str:
    answer = await client.post(
        f"/v25.0/{NUMBER}/media", data=FORM, files={"file": file}, headers=AUTH
    )

    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["id"]
    return str(answer.json()["id"])


async def looked_up(client: httpx.AsyncClient, media_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(f"/v25.0/{media_id}", headers=AUTH)).json()
    return found


def error(answer: httpx.Response) -> tuple[int, str, int, str]:
    """Return HTTP status, class, code and message of a refusal."""
    said = answer.json()["error"]
    return answer.status_code, said["type"], said["code"], said["message"]


async def test_an_uploaded_file_is_described_as_meta_describes_it(
    client: httpx.AsyncClient,
) -> None:
    media_id = await uploaded(client)

    found = await looked_up(client, media_id)

    assert found.pop("url").startswith("http://sim/whatsapp_business/attachments/?mid=")
    assert found == {
        "messaging_product": "whatsapp",
        "mime_type": "image/png",
        "sha256": hashlib.sha256(PHOTO[1]).hexdigest(),
        "file_size": len(PHOTO[1]),
        "id": media_id,
    }


async def test_the_address_gives_the_bytes_to_who_brings_the_token(
    client: httpx.AsyncClient,
) -> None:
    url = (await looked_up(client, await uploaded(client)))["url"]

    with_token = await client.get(url, headers=AUTH)
    without = await client.get(url)

    assert (with_token.content, with_token.headers["content-type"]) == (PHOTO[1], "image/png")
    assert error(without)[::2] == (401, 190)


async def test_an_address_ends_after_five_minutes_and_can_be_asked_for_again(
    client: httpx.AsyncClient, clock: Clock
) -> None:
    media_id = await uploaded(client)
    first = (await looked_up(client, media_id))["url"]

    clock.now += 299_000
    early = await client.get(first, headers=AUTH)
    clock.now += 1_000
    late = await client.get(first, headers=AUTH)
    second = await client.get((await looked_up(client, media_id))["url"], headers=AUTH)

    assert [early.status_code, late.status_code, second.status_code] == [200, 404, 200]


@pytest.mark.parametrize("changed", [{"mid": "1"}, {"ext": "99999999999"}, {"hash": "é"}, {}])
async def test_an_address_that_was_made_up_is_not_found(
    client: httpx.AsyncClient, changed: dict[str, str]
) -> None:
    url = httpx.URL((await looked_up(client, await uploaded(client)))["url"])
    wrong = url.copy_merge_params(changed) if changed else url.copy_with(query=b"")

    answer = await client.get(wrong, headers=AUTH)

    assert answer.status_code == 404


async def test_a_deleted_file_is_gone_with_its_address(client: httpx.AsyncClient) -> None:
    media_id = await uploaded(client)
    url = (await looked_up(client, media_id))["url"]

    deleted = await client.delete(f"/v25.0/{media_id}", headers=AUTH)
    again = await client.delete(f"/v25.0/{media_id}", headers=AUTH)
    fetched = await client.get(url, headers=AUTH)

    assert (deleted.status_code, deleted.json()) == (200, {"success": True})
    assert error(again)[:3] == (400, "GraphMethodException", 100)
    assert fetched.status_code == 404


async def test_an_unknown_id_is_refused_in_graphs_words(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v25.0/4711", headers=AUTH)

    status, kind, code, message = error(answer)
    assert (status, kind, code) == (400, "GraphMethodException", 100)
    assert message.startswith("Unsupported get request. Object with ID '4711' does not exist, ")
    assert answer.json()["error"]["error_subcode"] == 33


async def test_an_uploaded_id_lives_thirty_days(client: httpx.AsyncClient, clock: Clock) -> None:
    media_id = await uploaded(client)

    clock.now += 30 * DAY_MS - 1
    before = await client.get(f"/v25.0/{media_id}", headers=AUTH)
    clock.now += 1
    after = await client.get(f"/v25.0/{media_id}", headers=AUTH)

    assert (before.status_code, after.status_code) == (200, 400)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_every_call_wants_a_token(client: httpx.AsyncClient, method: str) -> None:
    media_id = await uploaded(client)

    named = await client.request(method, f"/v25.0/{media_id}")
    upload = await client.post(f"/v25.0/{NUMBER}/media", data=FORM, files={"file": PHOTO})

    assert error(named)[::2] == error(upload)[::2] == (401, 190)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_number_that_did_not_upload_the_file_is_refused(
    client: httpx.AsyncClient, method: str
) -> None:
    media_id = await uploaded(client)

    other = await client.request(method, f"/v25.0/{media_id}?phone_number_id=9", headers=AUTH)
    own = await client.request(method, f"/v25.0/{media_id}?phone_number_id={NUMBER}", headers=AUTH)

    assert "phone_number_id is not a valid whatsapp business phone number id" in error(other)[3]
    assert own.status_code == 200


@pytest.mark.parametrize(
    ("form", "file", "message"),
    [
        ({}, PHOTO, "(#100) The parameter messaging_product is required."),
        (FORM, None, "(#100) The parameter file is required."),
        (FORM, ("a.png", b"", "image/png"), "(#100) The parameter file is required."),
        (FORM, ("a.bin", b"x", "application/octet-stream"), "(#100) Param file must be a file"),
        (FORM, ("a.webp", bytes(500 * 1024 + 1), "image/webp"), "(#100) Invalid parameter"),
        (FORM, ("a.png", bytes(5 * MIB + 1), "image/png"), "(#100) Invalid parameter"),
        (FORM, ("a.mp4", bytes(16 * MIB + 1), "video/mp4"), "(#100) Invalid parameter"),
    ],
)
async def test_a_form_that_meta_refuses_is_refused(
    client: httpx.AsyncClient,
    form: dict[str, str],
    file: tuple[str, bytes, str] | None,
    message: str,
) -> None:
    files: dict[str, Any] = {"file": file} if file else {"other": (None, b"x")}

    answer = await client.post(f"/v25.0/{NUMBER}/media", data=form, files=files, headers=AUTH)

    assert error(answer)[:3] == (400, "OAuthException", 100)
    assert error(answer)[3].startswith(message)


async def test_a_refused_type_is_named_and_so_are_those_that_are_taken(
    client: httpx.AsyncClient,
) -> None:
    file = ("a.gif", b"GIF89a", "image/gif")

    answer = await client.post(
        f"/v25.0/{NUMBER}/media", data=FORM, files={"file": file}, headers=AUTH
    )

    message = error(answer)[3]
    assert "types: audio/aac, audio/mp4, " in message
    assert message.endswith("video/3gpp. Received file of type 'image/gif'.")


@pytest.mark.parametrize(
    "header", ["", "application/json", "multipart/form-data", "multipart/form-data; boundary=x"]
)
async def test_a_body_that_is_no_form_is_refused(client: httpx.AsyncClient, header: str) -> None:
    headers = {**AUTH, "Content-Type": header} if header else AUTH

    answer = await client.post(f"/v25.0/{NUMBER}/media", content=b"--y\r\n\r\n", headers=headers)

    assert error(answer)[:3] == (400, "OAuthException", 100)


async def test_a_body_without_an_end_is_cut_off(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n'
        while sent < 3 * LARGEST:
            sent += MIB
            yield bytes(MIB)

    headers = {**AUTH, "Content-Type": "multipart/form-data; boundary=x"}
    answer = await client.post(f"/v25.0/{NUMBER}/media", content=endless(), headers=headers)

    assert error(answer)[:3] == (400, "OAuthException", 100)
    assert sent <= LARGEST + 2 * MIB


def message(kind: str, media_id: str) -> dict[str, Any]:
    return {
        "messaging_product": "whatsapp",
        "to": "5511999990001",
        "type": kind,
        kind: {"id": media_id},
    }


async def test_an_uploaded_file_can_be_sent(client: httpx.AsyncClient) -> None:
    media_id = await uploaded(client)

    answer = await client.post(
        f"/v25.0/{NUMBER}/messages", json=message("image", media_id), headers=AUTH
    )

    assert answer.status_code == 200


@pytest.mark.parametrize(("number", "media_id"), [(NUMBER, "4711"), ("9", None)])
async def test_a_file_that_this_number_did_not_upload_cannot_be_sent(
    client: httpx.AsyncClient, number: str, media_id: str | None
) -> None:
    media_id = media_id or await uploaded(client)

    answer = await client.post(
        f"/v25.0/{number}/messages", json=message("image", media_id), headers=AUTH
    )

    assert error(answer) == (
        400,
        "OAuthException",
        100,
        "(#100) Param image.id is not a valid whatsapp business account media attachment ID",
    )


async def test_refusals_and_files_are_counted(
    client: httpx.AsyncClient, simulator: Simulator
) -> None:
    await uploaded(client)
    await client.get("/v25.0/4711", headers=AUTH)

    health = (await client.get("/health")).json()

    assert (health["files"], health["refused"]) == (1, 1)
    assert simulator.shelf.kept_bytes == len(PHOTO[1])


def test_ids_and_addresses_follow_from_the_seed() -> None:
    shelves = [Shelf(7), Shelf(7), Shelf(8)]

    files = [shelf.put(b"x", "image/png", now_ms=0, owner=NUMBER) for shelf in shelves]
    queries = [shelf.query(files[0].media_id, now_ms=0) for shelf in shelves]

    assert files[0] == files[1]
    assert files[0].media_id != files[2].media_id
    assert (len(files[0].media_id), files[0].media_id.isdigit()) == (16, True)
    assert queries[0] == queries[1]
    assert queries[0]["hash"] != queries[2]["hash"]


def test_when_the_shelf_is_full_the_oldest_file_leaves() -> None:
    shelf = Shelf(7, limit=10)
    first, second, third = (shelf.put(bytes(4), "image/png", now_ms=0) for _ in range(3))

    kept = [shelf.find(file.media_id, now_ms=0) for file in (first, second, third)]

    assert kept == [None, second, third]
    assert shelf.kept_bytes == 8
