"""Apicurio Registry: schemas, behind Confluent's API; its storage is PostgreSQL."""

from __future__ import annotations

import asyncio
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from streams.local.stack.artifacts import Bundle, Told
from streams.local.stack.fetch import Fetcher
from streams.local.stack.java import COMMON, Warmth
from streams.local.stack.part import Part
from streams.local.stack.ports import HOST
from streams.local.stack.postgres import Server
from streams.local.stack.probe import Probe

DATABASE: Final = "registry"
API: Final = "/apis/ccompat/v7"
RULE: Final = "FULL_TRANSITIVE"
HEAP: Final = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
MAIN: Final = "io.quarkus.runner.GeneratedMain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Ports of the registry.

    Attributes:
        port: Of its API.
        management: Of its health and metrics.
    """

    port: int
    management: int

    @property
    def url(self) -> str:
        """Root of Confluent's API."""
        return f"http://{HOST}:{self.port}{API}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The registry's files.

    Attributes:
        folder: Where its archive is unpacked; shared by all stacks of this user.
        arguments: File of the JVM's class path, below the stack's folder.
        bundle: Its archive.
        fetcher: Gets it.
    """

    folder: Path
    arguments: Path
    bundle: Bundle
    fetcher: Fetcher

    async def prepare(self, told: Told) -> None:
        """Download and unpack it, once for all stacks of this user.

        Raises:
            NotFetched: It cannot be downloaded.
        """
        if not self.folder.is_dir():
            archive, *_ = await self.fetcher.fetch(self.bundle, told)
            told("unpacking")
            await asyncio.to_thread(self._unpack, archive)
            # Unpacked it is all there; the archive would be kept for nothing.
            archive.unlink(missing_ok=True)
        self.arguments.parent.mkdir(parents=True, exist_ok=True)
        self.arguments.write_text(f"-cp {self._class_path()}\n")

    def warmth(self, java: Path) -> Warmth:
        """Return its start-up cache."""
        return Warmth.of(self.fetcher.folder.parent, "registry", java, self.bundle.digest)

    def _unpack(self, archive: Path) -> None:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(mkdtemp(dir=self.folder.parent, prefix=".part-"))
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(partial, filter="data")
            partial.rename(self.folder)
        except OSError:
            # Another stack was quicker; what it unpacked has the same checksum.
            if not self.folder.is_dir():
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _class_path(self) -> str:
        """Return one flat class path, sorted: the form that a start-up cache can be made for."""
        quarkus = [self.folder / "quarkus" / name for name in _QUARKUS]
        places = ("app/*.jar", "lib/boot/*.jar", "lib/main/*.jar")
        jars = [jar for place in places for jar in sorted(self.folder.glob(place))]
        return '"' + ":".join(str(jar) for jar in [*quarkus, *jars]) + '"'


_QUARKUS: Final = ("generated-bytecode.jar", "transformed-bytecode.jar")


def environment(address: Address, server: Server) -> dict[str, str]:
    """Return the registry's settings.

    Source: https://www.apicur.io/registry/docs/apicurio-registry/3.3.x/
    """
    return {
        "QUARKUS_HTTP_HOST": HOST,
        "QUARKUS_HTTP_PORT": str(address.port),
        "QUARKUS_MANAGEMENT_HOST": HOST,
        "QUARKUS_MANAGEMENT_PORT": str(address.management),
        # Not its built-in H2 file: that one lost acknowledged writes when it was killed.
        "APICURIO_STORAGE_KIND": "sql",
        "APICURIO_STORAGE_SQL_KIND": "postgresql",
        "APICURIO_DATASOURCE_URL": f"jdbc:postgresql://{HOST}:{server.port}/{DATABASE}",
        "APICURIO_DATASOURCE_USERNAME": server.user,
        "APICURIO_DATASOURCE_PASSWORD": server.password,
        "APICURIO_DATASOURCE_JDBC_INITIAL_SIZE": "1",
        "APICURIO_DATASOURCE_JDBC_MIN_SIZE": "1",
        "APICURIO_DATASOURCE_JDBC_MAX_SIZE": "10",
    }


def part(
    address: Address, server: Server, program: Program, *, java: Path, env: Mapping[str, str]
) -> Part:
    """Return the registry."""
    logging = "-Djava.util.logging.manager=org.jboss.logmanager.LogManager"
    return Part(
        name="registry",
        argv=(
            *(str(java), *HEAP, *program.warmth(java).use, *COMMON),
            *(logging, f"@{program.arguments}", MAIN),
        ),
        env={**env, **environment(address, server)},
        address=address.url,
        probe=Probe("http", f"{address.url}/subjects"),
        needs=("postgres",),
        prepare=program.prepare,
        settle=lambda: require_compatibility(address.url),
    )


async def require_compatibility(url: str) -> None:
    """Set the rule for all subjects: every version reads every other, both ways."""
    import httpx  # noqa: PLC0415 - loaded while the registry starts, not before

    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.put(f"{url}/config", json={"compatibility": RULE})
        answer.raise_for_status()
