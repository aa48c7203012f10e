"""Download a bundle; a file with another checksum never gets a name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Final
from urllib.parse import urlsplit

import httpx

from streams.local.stack.artifacts import Artifact, Bundle, NotFetched, Told
from streams.local.stack.together import together

MEGABYTE: Final = 1_000_000
TRIES: Final = 4
PARALLEL: Final = 8
_TIMEOUT: Final = httpx.Timeout(30.0, pool=None)


class Download:
    """One bundle on its way from a mirror.

    Attributes:
        mirror: Root of a Maven repository, without a slash at its end.
    """

    def __init__(self, mirror: str, bundle: Bundle, told: Told) -> None:
        self.mirror = mirror
        self._bundle = bundle
        self._progress = _Progress(bundle.size, told)
        self._slots = asyncio.Semaphore(PARALLEL)

    async def into(self, files: Sequence[Path]) -> None:
        """Download what is missing.

        Raises:
            NotFetched: The mirror does not answer, or answers with another file.
        """
        async with httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=True) as client:
            await together(
                self._ensure(client, artifact, file)
                for artifact, file in zip(self._bundle.artifacts, files, strict=True)
            )

    async def _ensure(self, client: httpx.AsyncClient, artifact: Artifact, file: Path) -> None:
        if artifact.is_at(file):
            self._progress.add(artifact.size)
            return
        async with self._slots:
            for attempt in range(1, TRIES + 1):
                try:
                    await self._download(client, artifact, file)
                except httpx.HTTPError as exc:
                    if attempt == TRIES or _is_final(exc):
                        raise NotFetched(
                            f"cannot download {artifact.filename} from {_shown(self.mirror)}:"
                            f" {_reason(exc)};"
                            " check the network, or set MAVEN_MIRROR to a mirror that you reach"
                        ) from None
                    await asyncio.sleep(0.5 * attempt)
                else:
                    return

    async def _download(self, client: httpx.AsyncClient, artifact: Artifact, file: Path) -> None:
        digest = sha256()
        received = 0
        with _partial(file) as part:
            try:
                async with client.stream("GET", f"{self.mirror}/{artifact.path}") as answer:
                    answer.raise_for_status()
                    async for chunk in answer.aiter_raw():
                        received += len(chunk)
                        if received > artifact.size:
                            break
                        digest.update(chunk)
                        part.write(chunk)
                        self._progress.add(len(chunk))
                _check(artifact, received, digest.hexdigest())
            except BaseException:
                self._progress.add(-received)
                raise


@contextmanager
def _partial(file: Path) -> Iterator[IO[bytes]]:
    """Write a file that gets its name when the block ends well, and is removed when not."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=file.parent, prefix=".part-", delete=False) as part:
        try:
            yield part
            part.flush()
            Path(part.name).replace(file)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise


def _check(artifact: Artifact, size: int, digest: str) -> None:
    if (size, digest) != (artifact.size, artifact.sha256):
        raise NotFetched(
            f"{artifact.filename} is not the file that this version was made for:"
            f" expected {artifact.size} bytes with sha256 {artifact.sha256}, got {digest};"
            " nothing was kept"
        )


def _is_final(exc: httpx.HTTPError) -> bool:
    if not isinstance(exc, httpx.HTTPStatusError):
        return False
    return exc.response.status_code in {401, 403, 404, 410}


def _shown(url: str) -> str:
    """Return a URL without the user and the password that it may have."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _reason(exc: httpx.HTTPError) -> str:
    """Say what went wrong; what the client says of a status quotes the whole URL."""
    if isinstance(exc, httpx.HTTPStatusError):
        return f"{exc.response.status_code} {exc.response.reason_phrase}".strip()
    return str(exc) or type(exc).__name__


class _Progress:
    """Adds up bytes and tells every tenth."""

    def __init__(self, total: int, told: Told) -> None:
        self._total = total
        self._told = told
        self._done = 0
        self._tenth = -1

    def add(self, count: int) -> None:
        self._done += count
        tenth = self._done * 10 // max(self._total, 1)
        if tenth > self._tenth:
            self._tenth = tenth
            done, total = self._done // MEGABYTE, self._total // MEGABYTE
            self._told(f"downloading, {done} of {total} MB")
