"""The embedded stack as one object: start it, ask it for addresses, break its parts, stop it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from schemas.changing import replace
from streams.local.stack import envfile
from streams.local.stack.hold import Ledger, clean, hold
from streams.local.stack.options import StackOptions
from streams.local.stack.part import Part
from streams.local.stack.plan import Plan, Surroundings, make_plan
from streams.local.stack.process import Crashed
from streams.local.stack.supervisor import Supervisor, Tell, unbroken
from streams.local.stack.warm import train
from streams.settings import cache_home, environment, load

LOCK: Final = Path("run") / "up.lock"
LEDGER: Final = Path("run") / "processes.json"


class Stack:
    """A running stack.

    Attributes:
        home: Its folder.
        plan: What was started, with ports and environment.
    """

    def __init__(self, home: Path, plan: Plan, supervisor: Supervisor) -> None:
        self.home = home
        self.plan = plan
        self._supervisor = supervisor

    @property
    def env(self) -> dict[str, str]:
        """Whole environment for a process that is to use this stack."""
        return dict(self.plan.env)

    @property
    def kafka_bootstrap(self) -> str:
        """Kafka's ``host:port[,host:port]``."""
        return self.plan.env["KAFKA_BOOTSTRAP"]

    @property
    def schema_registry_url(self) -> str:
        """Root of the registry's Confluent API."""
        return self.plan.env["SCHEMA_REGISTRY_URL"]

    @property
    def postgres_dsn(self) -> str:
        """URL of the database ``whaticket``; holds the password."""
        return self.plan.env["POSTGRES_DSN"]

    @property
    def redis_url(self) -> str:
        """URL of Redis."""
        return self.plan.env["REDIS_URL"]

    @property
    def names(self) -> list[str]:
        """Parts that keep running, in the order of their start."""
        return self._supervisor.names

    @property
    def parts(self) -> list[Part]:
        """Descriptions of these parts."""
        described = {part.name: part for part in self.plan.parts}
        return [described[name] for name in self.names]

    def port(self, name: str) -> int:
        """Return the port of a part, such as ``webhook``.

        Raises:
            KeyError: The stack has no such part.
        """
        return self.plan.ports[name]

    def pid(self, name: str) -> int:
        """Return the process id of a part."""
        return self._supervisor.pid(name)

    def log(self, name: str) -> Path:
        """Return the log of a part."""
        return self.home / "logs" / f"{name}.log"

    async def start(self, name: str) -> None:
        """Start a part again and wait until it is ready; nothing happens when it runs.

        Raises:
            Crashed: It ended or is not ready in time.
            KeyError: The stack has no such part.
        """
        await self._supervisor.start(name)

    def launch(self, name: str, settings: Mapping[str, str] | None = None) -> None:
        """Start a part that has ended, waiting for nothing; its end is nobody's business.

        Args:
            name: The part.
            settings: Settings of this process alone, by the names of their variables.
        """
        self._supervisor.launch(name, settings)

    def ended(self, name: str) -> int | None:
        """Return how a part ended, minus the signal's number when one did; None: it runs."""
        return self._supervisor.ended(name)

    async def stop(self, name: str, *, back: bool = False) -> None:
        """Stop a part in good order and wait for its end.

        Args:
            name: The part.
            back: True when it is about to be started again (SIGTERM); a worker then keeps its
                place in its group, which it gives up else.
        """
        await self._supervisor.stop(name, back=back)

    async def kill(self, name: str) -> None:
        """Kill a part (SIGKILL) and wait for its end; it is not started again."""
        await self._supervisor.kill(name)

    def signal(self, name: str, number: int) -> None:
        """Send a part a signal, such as SIGSTOP or SIGCONT."""
        self._supervisor.signal(name, number)

    async def crashed(self) -> Crashed:
        """Return, when a part has ended by itself, how."""
        return await asyncio.shield(self._supervisor.crashed)


def _quiet(_name: str, _line: str) -> None:
    """Tell nobody."""


@asynccontextmanager
async def running(options: StackOptions, tell: Tell = _quiet) -> AsyncIterator[Stack]:
    """Run a stack as long as the block lasts; nothing of it is left behind afterwards.

    ::

        async with running(StackOptions(home=folder, own=False)) as stack:
            producer = AIOKafkaProducer(bootstrap_servers=stack.kafka_bootstrap)
            await stack.kill("redis")
            await stack.start("redis")

    Data, ports and secrets are kept in ``options.home`` for the next start.

    Raises:
        AlreadyUp: Another process runs the stack of this folder.
        Misconfigured: A package is missing or a file is damaged.
        PipelineError: A part could not be downloaded or started.
    """
    home = options.home.resolve()
    options = replace(options, home=home)
    with hold(home / LOCK) as complete:
        ledger = Ledger(home / LEDGER)
        for name in await clean(ledger.read()):
            tell(name, "was left behind by an earlier start, ended")
        around = Surroundings(environment=environment(), cache=cache_home(), settings=load())
        plan = make_plan(options, around)
        envfile.write(home / envfile.NAME, plan.written)
        for name, variable in plan.replaced.items():
            tell(name, f"yours, from {variable}")
        supervisor = Supervisor(
            plan.parts, logs=home / "logs", ledger=ledger, tell=tell, restart=options.restart
        )
        try:
            await supervisor.start_all()
            complete()
            async with _training(plan, home, ledger, unbroken(tell)):
                yield Stack(home, plan, supervisor)
        finally:
            await _to_the_end(supervisor.stop_all())


@asynccontextmanager
async def _training(plan: Plan, home: Path, ledger: Ledger, tell: Tell) -> AsyncIterator[None]:
    """Record, in the background, what makes later starts quicker."""
    task = asyncio.create_task(train(plan.trainings, home / "run" / "training", ledger, tell))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _to_the_end(work: Coroutine[None, None, None]) -> None:
    """Finish the work, even when this task is cancelled meanwhile."""
    stopping = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not stopping.done():
        try:
            await asyncio.shield(stopping)
        except asyncio.CancelledError as exc:
            cancelled = exc
    stopping.result()
    if cancelled:
        raise cancelled
