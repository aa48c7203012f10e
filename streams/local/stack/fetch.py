"""Files of bundles, from the cache or from a Maven repository."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from streams.local.stack.artifacts import Artifact, Bundle, Told


class Fetcher:
    """Downloads of one run.

    Attributes:
        mirror: Root of a Maven repository.
        folder: Where files are kept, in the layout of a Maven repository.
    """

    def __init__(self, mirror: str, folder: Path) -> None:
        self.mirror = mirror.rstrip("/")
        self.folder = folder

    async def fetch(self, bundle: Bundle, told: Told) -> list[Path]:
        """Return the files of a bundle, downloading what is missing.

        Raises:
            NotFetched: The mirror does not answer, or answers with another file.
        """
        files = [self.folder / artifact.path for artifact in bundle.artifacts]
        if not all(map(Artifact.is_at, bundle.artifacts, files)):
            # An HTTP client takes longer to import than everything else before Kafka starts.
            from streams.local.stack.download import Download  # noqa: PLC0415 - see above

            async with _alone(self.folder):
                await Download(self.mirror, bundle, told).into(files)
        return files


@asynccontextmanager
async def _alone(folder: Path) -> AsyncIterator[None]:
    """Wait until no other process downloads the same bundle into the folder."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.1)
        yield
