"""The Cloud API's media endpoints: upload, look up, download, delete.

An id gives an address, and the address gives the bytes; both want the token.

Source: Meta, "WhatsApp Cloud API: Media" (updated June 16, 2026).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final
from urllib.parse import urlencode

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import Response

from streams.local.simulator.answers import LABEL, json
from streams.local.simulator.filetypes import LARGEST, TYPES, bare
from streams.local.simulator.refusals import (
    Refusal,
    foreign_number,
    required,
    too_large,
    unknown_object,
    wrong_type,
)
from streams.local.simulator.shelf import File
from streams.local.simulator.state import Simulator

ATTACHMENTS: Final = "/whatsapp_business/attachments/"
FIELDS_MAX: Final = 8
FORM_MAX: Final = LARGEST + 64 * 1024
"""Most bytes of a form: its file, and what is around it."""


class FormTooLarge(Exception):
    """A form is larger than any file may be."""


async def upload(request: Request) -> Response:
    """``POST /v25.0/{phone_number_id}/media``."""
    simulator: Simulator = request.app.state.simulator
    if refusal := simulator.stranger(request.headers.get("authorization", "")):
        return _refused(simulator, refusal)
    taken = await _taken(request)
    if isinstance(taken, Refusal):
        return _refused(simulator, taken)
    content, mime_type = taken
    number = request.path_params["phone_number_id"]
    now_ms = simulator.clock.now_ms()
    return json(
        {"id": simulator.shelf.put(content, mime_type, now_ms=now_ms, owner=number).media_id}
    )


async def look_up(request: Request) -> Response:
    """``GET /v25.0/{media_id}``: what the file is, and where it is for five minutes."""
    simulator: Simulator = request.app.state.simulator
    found = _named(simulator, request)
    if isinstance(found, Refusal):
        return _refused(simulator, found)
    query = simulator.shelf.query(found.media_id, now_ms=simulator.clock.now_ms())
    base = str(request.base_url).rstrip("/")
    answer = {
        "messaging_product": "whatsapp",
        "url": f"{base}{ATTACHMENTS}?{urlencode(query)}",
        "mime_type": bare(found.mime_type),
        "sha256": found.digest.hex(),
        "file_size": len(found.content),
        "id": found.media_id,
    }
    return json(answer)


async def download(request: Request) -> Response:
    """``GET`` of an address that ``look_up`` gave: the bytes, or 404 when it is too old."""
    simulator: Simulator = request.app.state.simulator
    if refusal := simulator.stranger(request.headers.get("authorization", "")):
        return _refused(simulator, refusal)
    query = dict(request.query_params)
    file = simulator.shelf.at(query, now_ms=simulator.clock.now_ms())
    if file is None:
        return Response(status_code=404, headers=LABEL)
    return Response(file.content, 200, {**LABEL, "content-type": file.mime_type})


async def delete(request: Request) -> Response:
    """``DELETE /v25.0/{media_id}``."""
    simulator: Simulator = request.app.state.simulator
    found = _named(simulator, request)
    if isinstance(found, Refusal):
        return _refused(simulator, found)
    simulator.shelf.remove(found.media_id)
    return json({"success": True})


def _named(simulator: Simulator, request: Request) -> File | Refusal:
    """Return the file that the path names, or why it is not to be had."""
    if refusal := simulator.stranger(request.headers.get("authorization", "")):
        return refusal
    media_id = request.path_params["media_id"]
    file = simulator.shelf.find(media_id, now_ms=simulator.clock.now_ms())
    if file is None:
        return unknown_object(request.method.lower(), media_id)
    number = request.query_params.get("phone_number_id")
    return file if number in (None, file.owner) else foreign_number()


async def _taken(request: Request) -> tuple[bytes, str] | Refusal:
    """Return bytes and type of the file of a form, or what is wrong with it."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return required("messaging_product")
    stream = _bounded(request)
    try:
        form = await MultiPartParser(
            request.headers, stream, max_files=1, max_fields=FIELDS_MAX
        ).parse()
    except FormTooLarge:
        return too_large()
    except MultiPartException:
        return required("messaging_product")
    try:
        return await _file(form)
    finally:
        await form.close()


async def _file(form: FormData) -> tuple[bytes, str] | Refusal:
    if form.get("messaging_product") != "whatsapp":
        return required("messaging_product")
    file = form.get("file")
    if not isinstance(file, UploadFile) or not file.size:
        return required("file")
    mime_type = file.content_type or str(form.get("type", ""))
    limit = TYPES.get(bare(mime_type))
    if limit is None:
        return wrong_type(mime_type)
    return too_large() if file.size > limit else (await file.read(), mime_type)


async def _bounded(request: Request) -> AsyncGenerator[bytes, None]:
    """Yield the body, but never more than the largest file and what is around it."""
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > FORM_MAX:
            raise FormTooLarge
        yield chunk


def _refused(simulator: Simulator, refusal: Refusal) -> Response:
    return json(simulator.refuse(refusal), refusal.status)
