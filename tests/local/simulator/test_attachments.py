from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any

import httpx
import pytest

from schemas.events import Media, MessageKind
from streams.local.simulator import Simulator
from streams.local.simulator.samples import document, picture, voice
from streams.whatsapp import Message, parse
from tests.local.simulator.surroundings import AUTH, NUMBER, Clock, Webhook

SAID = {"phone_number_id": NUMBER, "from": "5511988887777", "name": "Ana"}
DAY_MS = 86_400_000


async def received(client: httpx.AsyncClient, webhook: Webhook, media: dict[str, Any]) -> Message:
    """Return the message that our webhook reads of a customer who attached a file."""
    answer = await client.post("/_simulator/messages", json={**SAID, "media": media})

    assert answer.status_code == 200, answer.text
    (part,) = parse(webhook.bodies[-1])
    assert isinstance(part, Message)
    return part


async def fetched(client: httpx.AsyncClient, media_id: str) -> httpx.Response:
    found = (await client.get(f"/v25.0/{media_id}", headers=AUTH)).json()
    return await client.get(found["url"], headers=AUTH)


@pytest.mark.parametrize(
    ("kind", "mime_type", "beginning"),
    [
        ("image", "image/png", b"\x89PNG"),
        ("document", "application/pdf", b"%PDF-1.4"),
        ("audio", "audio/ogg; codecs=opus", b"OggS"),
    ],
)
async def test_a_customer_sends_a_file_that_can_be_fetched(
    client: httpx.AsyncClient, webhook: Webhook, kind: str, mime_type: str, beginning: bytes
) -> None:
    message = await received(client, webhook, {"type": kind, "caption": "veja"})

    media = message.content.media
    assert media is not None
    file = await fetched(client, media.media_id)
    assert (message.content.kind, message.content.text) == (MessageKind(kind), "veja")
    assert (media.mime_type, media.voice) == (mime_type, kind == "audio")
    assert file.content.startswith(beginning)
    assert file.headers["content-type"] == mime_type
    assert media.sha256 == base64.b64encode(hashlib.sha256(file.content).digest()).decode()


async def test_a_customer_sends_a_file_of_his_own(
    client: httpx.AsyncClient, webhook: Webhook
) -> None:
    media = {
        "type": "document",
        "mime_type": "text/csv",
        "filename": "notas.csv",
        "content": base64.b64encode(b"a;b\n1;2\n").decode(),
    }

    message = await received(client, webhook, media)

    assert message.content.media is not None
    assert (await fetched(client, message.content.media.media_id)).content == b"a;b\n1;2\n"
    assert message.content.media == Media(
        media_id=message.content.media.media_id,
        mime_type="text/csv",
        sha256=base64.b64encode(hashlib.sha256(b"a;b\n1;2\n").digest()).decode(),
        filename="notas.csv",
    )


async def test_a_music_file_is_no_voice_note(client: httpx.AsyncClient, webhook: Webhook) -> None:
    message = await received(client, webhook, {"type": "audio", "voice": False})

    assert message.content.media is not None
    assert not message.content.media.voice


async def test_the_id_of_a_customers_file_lives_seven_days(
    client: httpx.AsyncClient, webhook: Webhook, clock: Clock
) -> None:
    message = await received(client, webhook, {"type": "image"})
    assert message.content.media is not None
    path = f"/v25.0/{message.content.media.media_id}"

    clock.now += 7 * DAY_MS - 1
    before = await client.get(path, headers=AUTH)
    clock.now += 1
    after = await client.get(path, headers=AUTH)

    assert (before.status_code, after.status_code) == (200, 400)


async def test_a_customers_file_belongs_to_no_business_number(
    client: httpx.AsyncClient, webhook: Webhook
) -> None:
    message = await received(client, webhook, {"type": "image"})
    assert message.content.media is not None

    answer = await client.get(
        f"/v25.0/{message.content.media.media_id}?phone_number_id={NUMBER}", headers=AUTH
    )

    assert answer.status_code == 400
    assert "phone_number_id" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "media",
    [
        None,
        "image",
        {},
        {"type": "poem"},
        {"type": ["image"]},
        {"type": "video"},
        {"type": "sticker"},
        {"type": "image", "mime_type": "image/jpeg"},
        {"type": "image", "content": "AAAA"},
        {"type": "image", "content": "AAAA", "mime_type": "jpeg"},
        {"type": "image", "content": "AAAA", "mime_type": "image/png\r\nx: y"},
        {"type": "image", "content": "é", "mime_type": "image/png"},
        {"type": "image", "content": 1, "mime_type": "image/png"},
    ],
)
async def test_a_file_that_cannot_be_made_is_refused(
    client: httpx.AsyncClient, simulator: Simulator, media: object
) -> None:
    answer = await client.post("/_simulator/messages", json={**SAID, "media": media})

    assert answer.status_code == 400
    assert not simulator.shelf.files


def test_files_follow_from_their_number() -> None:
    for make in (picture, document, voice):
        assert make(1) == make(1)
        assert make(1) != make(2)


def test_a_picture_is_whole() -> None:
    png = picture(0x112233)

    data = png.index(b"IDAT")
    length = int.from_bytes(png[data - 4 : data])
    body = png[data + 4 : data + 4 + length]
    assert int.from_bytes(png[data + 4 + length :][:4]) == zlib.crc32(b"IDAT" + body)
    assert zlib.decompress(body)[:7] == b"\x00\x11\x22\x33\x11\x22\x33"


def test_a_document_points_at_its_objects() -> None:
    pdf = document(7)

    table = int(pdf.split(b"startxref\n")[1].split()[0])
    offsets = [int(line.split()[0]) for line in pdf[table:].split(b"\n")[3:8]]
    assert pdf[table:].startswith(b"xref\n0 6\n")
    assert [pdf[offset:][:7] for offset in offsets] == [b"%d 0 obj" % n for n in range(1, 6)]
    assert b"(Documento 7)" in pdf


def test_a_voice_note_has_checksums_that_players_accept() -> None:
    # What mutagen, which computes it by itself, writes for the same page.
    first = voice(7012)[:47]

    assert first[:4] == b"OggS"
    assert first[28:36] == b"OpusHead"
    assert first[22:26].hex() == "670f36f5"
