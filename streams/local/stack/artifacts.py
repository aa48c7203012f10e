"""Files of Maven Central that the stack runs on, by a committed lock.

The lock is the only list: what is not in it is not downloaded, and what does not have
its checksum is not used. `streams.local.stack.relock` renews it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from schemas.errors import Misconfigured, PipelineError

LOCK: Final = Path(__file__).with_name("stack.lock.json")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_COORDINATES: Final = re.compile(r"[\w.-]+(:[\w.-]+){2,4}")


Told = Callable[[str], None]
"""Takes one short line about how far a part is."""


class NotFetched(PipelineError):
    """A file of the stack could not be downloaded, or is not the file that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One file of a Maven repository.

    Attributes:
        coordinates: ``group:name:version[:extension[:classifier]]``.
        sha256: Its checksum, hex.
        size: Its length in bytes.
    """

    coordinates: str
    sha256: str
    size: int

    @property
    def path(self) -> str:
        """Path below a repository's root; the layout that Maven 2 fixed.

        Source: https://maven.apache.org/repository/layout.html
        """
        group, name, version, *rest = self.coordinates.split(":")
        extension = rest[0] if rest else "jar"
        classifier = f"-{rest[1]}" if len(rest) > 1 else ""
        folder = group.replace(".", "/")
        return f"{folder}/{name}/{version}/{name}-{version}{classifier}.{extension}"

    @property
    def filename(self) -> str:
        """Last part of its path."""
        return self.path.rpartition("/")[2]

    def is_at(self, file: Path) -> bool:
        """Whether it was downloaded to there.

        A file has its name only after its checksum was right; the size finds a damaged disk
        cheaply.
        """
        return file.is_file() and file.stat().st_size == self.size


@dataclass(frozen=True, slots=True)
class Bundle:
    """The artifacts of one part, and their common fingerprint."""

    artifacts: tuple[Artifact, ...]

    @property
    def size(self) -> int:
        """Bytes to download when nothing is cached."""
        return sum(artifact.size for artifact in self.artifacts)

    @property
    def digest(self) -> str:
        """Twelve hex digits that change when any file changes; names caches."""
        text = "".join(artifact.sha256 for artifact in self.artifacts)
        return sha256(text.encode()).hexdigest()[:12]


def read_lock(path: Path = LOCK) -> dict[str, Bundle]:
    """Read the lock: part name to bundle.

    Raises:
        Misconfigured: The file is not a lock; names the file and the entry.
    """
    try:
        raw = json.loads(path.read_text())
        return {part: Bundle(tuple(_entry(row) for row in rows)) for part, rows in raw.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise Misconfigured(f"{path} is not a lock of artifacts: {exc}") from exc


def _entry(row: dict[str, object]) -> Artifact:
    coordinates, digest, size = row["coordinates"], row["sha256"], row["size"]
    if not isinstance(coordinates, str) or not _COORDINATES.fullmatch(coordinates):
        raise ValueError(f"{coordinates!r} are no coordinates")
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise ValueError(f"{coordinates} has no sha256")
    if not isinstance(size, int) or size <= 0:
        raise ValueError(f"{coordinates} has no size")
    return Artifact(coordinates=coordinates, sha256=digest, size=size)
