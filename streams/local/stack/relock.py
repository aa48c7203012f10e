"""Renew the lock of artifacts: ``python -m streams.local.stack.relock 4.3.1 3.3.3``.

For maintainers only: resolves Kafka's runtime dependencies with ``mvn`` and writes
the checksums of what Maven downloaded. The stack itself never needs ``mvn``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from streams.local.stack.artifacts import LOCK

LOG4J_BINDING: Final = "org.apache.logging.log4j:log4j-slf4j-impl"
"""Kafka's distribution adds it; the broker's own dependencies leave out where logs go."""

_POM: Final = """<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>lock</groupId><artifactId>lock</artifactId>
<version>1</version><dependencies>{dependencies}</dependencies></project>
"""
_DEPENDENCY: Final = (
    "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"
)


def relock(kafka: str, apicurio: str, log4j: str = "2.25.4", path: Path = LOCK) -> None:
    """Resolve these versions and write the lock.

    Raises:
        subprocess.CalledProcessError: Maven could not resolve one of them.
    """
    registry = f"io.apicurio:apicurio-registry-app:{apicurio}:tar.gz:all"
    with TemporaryDirectory() as work:
        folder = Path(work)
        roots = (f"org.apache.kafka:kafka_2.13:{kafka}", f"{LOG4J_BINDING}:{log4j}")
        jars = _closure(folder, roots)
        _mvn(folder, "dependency:copy", f"-Dartifact={registry}", "-DoutputDirectory=registry")
        archive = next((folder / "registry").iterdir())
        lock = {"kafka": jars, "registry": [_row(registry, archive)]}
    path.write_text(json.dumps(lock, indent=1) + "\n")


def _closure(folder: Path, roots: tuple[str, ...]) -> list[dict[str, object]]:
    dependencies = "".join(_DEPENDENCY.format(*root.split(":")) for root in roots)
    (folder / "pom.xml").write_text(_POM.format(dependencies=dependencies))
    runtime = "-DincludeScope=runtime"
    _mvn(folder, "dependency:list", runtime, "-DoutputFile=list.txt", "-Dstyle.color=never")
    _mvn(folder, "dependency:copy-dependencies", runtime, "-DoutputDirectory=jars")
    rows = []
    for line in sorted((folder / "list.txt").read_text().splitlines()):
        group, name, extension, version, *_ = (*line.strip().split(":"), "", "", "", "")
        if extension == "jar":
            jar = folder / "jars" / f"{name}-{version}.jar"
            rows.append(_row(f"{group}:{name}:{version}", jar))
    return rows


def _row(coordinates: str, file: Path) -> dict[str, object]:
    content = file.read_bytes()
    return {
        "coordinates": coordinates,
        "sha256": sha256(content).hexdigest(),
        "size": len(content),
    }


def _mvn(folder: Path, *arguments: str) -> None:
    # The maintainer's own mvn, on the maintainer's own machine.
    subprocess.run(["mvn", "-q", "-B", *arguments], cwd=folder, check=True)  # noqa: S603, S607


if __name__ == "__main__":
    relock(sys.argv[1], sys.argv[2])
