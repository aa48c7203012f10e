from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from streams.local.stack.artifacts import Artifact, Bundle, NotFetched
from streams.local.stack.fetch import Fetcher

CONTENT = b"class file" * 1000


class Mirror:
    """Answers every GET from a dict of paths; counts what it was asked."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[str] = []
        self.failing = 0
        self.moved: dict[str, str] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        self.asked.append(path)
        body = self.files.get(path)
        status = b"404 Not Found" if body is None else b"200 OK"
        if self.failing:
            self.failing -= 1
            status, body = b"503 Service Unavailable", None
        if to := self.moved.get(path):
            status = b"302 Found\r\nLocation: " + to.encode()
        body = body or b""
        head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        writer.write(head % (status, len(body)) + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def listening(mirror: Mirror) -> AsyncIterator[str]:
    server = await asyncio.start_server(mirror.serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"


def artifact(name: str = "lib", content: bytes = CONTENT) -> Artifact:
    return Artifact(
        coordinates=f"org.example:{name}:1", sha256=sha256(content).hexdigest(), size=len(content)
    )


def files(folder: Path) -> list[str]:
    return sorted(
        file.name for file in folder.rglob("*") if file.is_file() and file.name != ".lock"
    )


async def test_a_file_is_downloaded_once_and_found_again(tmp_path: Path) -> None:
    wanted = artifact()
    mirror = Mirror({f"/{wanted.path}": CONTENT})
    lines: list[str] = []
    async with listening(mirror) as url:
        for _ in range(2):
            (file,) = await Fetcher(url, tmp_path).fetch(Bundle((wanted,)), lines.append)
            assert file.read_bytes() == CONTENT
    assert mirror.asked == [f"/{wanted.path}"]
    assert lines[-1] == "downloading, 0 of 0 MB"


@pytest.mark.parametrize(
    "answer",
    [CONTENT.replace(b"class", b"trojn"), CONTENT[:-1], CONTENT + b"x", b""],
    ids=["other content", "too short", "too long", "empty"],
)
async def test_another_file_is_refused_and_nothing_is_kept(tmp_path: Path, answer: bytes) -> None:
    wanted = artifact()
    async with listening(Mirror({f"/{wanted.path}": answer})) as url:
        with pytest.raises(NotFetched, match="not the file"):
            await Fetcher(url, tmp_path).fetch(Bundle((wanted,)), print)
    assert files(tmp_path) == []


async def test_a_damaged_copy_is_downloaded_again(tmp_path: Path) -> None:
    wanted = artifact()
    async with listening(Mirror({f"/{wanted.path}": CONTENT})) as url:
        fetcher = Fetcher(url, tmp_path)
        (file,) = await fetcher.fetch(Bundle((wanted,)), print)
        file.write_bytes(CONTENT[:100])
        await fetcher.fetch(Bundle((wanted,)), print)
    assert file.read_bytes() == CONTENT


async def test_a_mirror_that_stumbles_is_asked_again(tmp_path: Path) -> None:
    wanted = artifact()
    mirror = Mirror({f"/{wanted.path}": CONTENT})
    mirror.failing = 1
    async with listening(mirror) as url:
        await Fetcher(url, tmp_path).fetch(Bundle((wanted,)), print)
    assert len(mirror.asked) == 2


async def test_a_mirror_that_sends_elsewhere_is_followed(tmp_path: Path) -> None:
    wanted = artifact()
    mirror = Mirror({"/store/1": CONTENT})
    mirror.moved = {f"/{wanted.path}": "/store/1"}
    async with listening(mirror) as url:
        (file,) = await Fetcher(url, tmp_path).fetch(Bundle((wanted,)), print)
    assert file.read_bytes() == CONTENT


async def test_a_mirror_without_the_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    mirror = Mirror({})
    async with listening(mirror) as url:
        with pytest.raises(NotFetched, match="MAVEN_MIRROR") as refused:
            await Fetcher(url, tmp_path).fetch(Bundle((artifact(), artifact("other"))), print)
    assert url in str(refused.value)
    assert len(mirror.asked) <= 2


async def test_the_password_of_a_mirror_is_not_told(tmp_path: Path) -> None:
    async with listening(Mirror({})) as url:
        mirror = url.replace("//", "//ana:segredo@")
        with pytest.raises(NotFetched, match="404 Not Found") as refused:
            await Fetcher(mirror, tmp_path).fetch(Bundle((artifact(),)), print)
    assert url in str(refused.value)
    assert "segredo" not in str(refused.value)
