"""From options to parts, ports and environment: the plan of one stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schemas.changing import replace
from schemas.errors import Misconfigured
from streams.local.stack import envfile, kafka, own, postgres, redis, registry
from streams.local.stack.options import StackOptions
from streams.local.stack.part import Part
from streams.local.stack.ports import HOST, choose
from streams.local.stack.programs import Programs
from streams.local.stack.warm import Training
from streams.settings import Settings

CLOCK: Final = Path("run") / "clock"
PARTITIONS: Final = "12"
BROKERS: Final = "KAFKA_BROKERS"
PASSWORD: Final = "POSTGRES_PASSWORD"  # noqa: S105 - a name
USUAL: Final = {"WEBHOOK_PORT": "8000", "API_PORT": "8001"}
REPLACED_BY: Final = {
    "kafka": ("KAFKA_BOOTSTRAP",),
    "registry": ("SCHEMA_REGISTRY_URL",),
    "postgres": ("POSTGRES_DSN",),
    "redis": ("REDIS_URL",),
    "simulator": ("WHATSAPP_API_URL",),
    "model": ("OPENAI_API_KEY", "OPENAI_BASE_URL"),
}
"""Parts that do not start when one of these variables is set: the address wins."""

PLAIN: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "USER", "LOGNAME")
"""All that other people's programs get of the user's environment: settings of theirs that
happen to be set (KAFKA_OPTS, PGDATA, QUARKUS_…) must not change the stack. Java reads the names of
files by the locale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a plan reads of the machine.

    Attributes:
        environment: The user's environment.
        cache: Folder of downloads.
        settings: Mirror and JDK.
    """

    environment: Mapping[str, str]
    cache: Path
    settings: Settings

    @property
    def plain(self) -> dict[str, str]:
        """Environment of other people's programs."""
        return {name: self.environment[name] for name in PLAIN if name in self.environment}

    @property
    def replaced(self) -> dict[str, str]:
        """Parts that the user's environment replaces: name to the variable that does."""
        found: dict[str, str] = {}
        for name, variables in REPLACED_BY.items():
            if variable := next(filter(self.environment.get, variables), None):
                found[name] = variable
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a start will do.

    Attributes:
        parts: Everything to start.
        trainings: What may be recorded to make later starts quicker.
        ports: Port of each name, such as ``webhook`` or ``kafka-1``.
        written: What `stack.env` holds.
        env: Whole environment of our own processes.
        replaced: Parts that the user's environment replaces, by the variable that does.
    """

    parts: list[Part]
    trainings: list[Training]
    ports: dict[str, int]
    written: dict[str, str]
    env: dict[str, str]
    replaced: dict[str, str]


def make_plan(options: StackOptions, around: Surroundings) -> Plan:
    """Decide everything that a start needs; starts and writes nothing.

    Raises:
        Misconfigured: A package of the embedded stack is missing, `stack.env` is damaged or lost,
            or the environment names a part that the stack must have itself.
        NoFreePort: No port is free.
    """
    if options.alone:
        _refuse_parts_of(around.environment)
    before = envfile.read(options.home / envfile.NAME)
    options = replace(options, brokers=_broker_count(options, before))
    replaced = around.replaced
    wanted = {**USUAL, **before, **around.environment, **options.settings}
    ports = _ports(options, replaced, wanted)
    fresh = envfile.make_secrets() | envfile.make_local_secrets()
    secrets = {name: before.get(name, value) for name, value in fresh.items()}
    server = postgres.Server(
        home=options.home, port=ports.get("postgres", 0), password=secrets[PASSWORD]
    )
    if "postgres" in ports and server.data.is_dir() and PASSWORD not in before:
        raise Misconfigured(
            f"{options.home / envfile.NAME} has no {PASSWORD}, and {server.data} was made with one:"
            f" put it back, or remove {options.home / 'data'} to begin anew"
        )
    listening = {_variable(name): str(port) for name, port in ports.items()}
    written = secrets | _addresses(options, ports, server, replaced) | listening
    if options.movable_clock:
        written["CLOCK_FILE"] = str(options.home / CLOCK)
    env = written | dict(around.environment) | dict(options.settings) | listening
    env |= {"WHATICKET_HOME": str(options.home), "PYTHONUNBUFFERED": "1"}
    parts, trainings = _infrastructure(options, ports, server, around)
    mine = own.parts(options, ports, env) if options.own else []
    return Plan(
        parts=[*parts, *mine],
        trainings=trainings,
        ports=ports,
        written=written,
        env=env,
        replaced=replaced,
    )


def _refuse_parts_of(environment: Mapping[str, str]) -> None:
    every = (variable for variables in REPLACED_BY.values() for variable in variables)
    if named := ", ".join(variable for variable in every if environment.get(variable)):
        raise Misconfigured(f"this runs on parts of its own only: unset {named}")


def _infrastructure(
    options: StackOptions, ports: Mapping[str, int], server: postgres.Server, around: Surroundings
) -> tuple[list[Part], list[Training]]:
    parts: list[Part] = []
    if "postgres" in ports:
        parts.append(postgres.part(server, env=around.plain))
    if "redis" in ports:
        parts.append(redis.part(options.home, ports["redis"], env=around.plain))
    java = {"kafka-1": "kafka", "registry": "registry"}
    running = {name for port, name in java.items() if port in ports}
    if not running:
        return parts, []
    programs = Programs.of(around.settings, around.cache, around.plain)
    if "kafka" in running:
        parts += programs.broker_parts(_cluster(options, ports))
    if "registry" in running:
        address = registry.Address(port=ports["registry"], management=ports["registry-management"])
        parts.append(programs.registry_part(options.home, address, server))
    if "postgres" not in ports:
        running.discard("registry")
    return parts, programs.trainings(options.home, server, running) if options.warm else []


def _addresses(
    options: StackOptions,
    ports: Mapping[str, int],
    server: postgres.Server,
    replaced: Mapping[str, str],
) -> dict[str, str]:
    """Return addresses of what the stack itself runs; those of the user are not written down."""

    def at(name: str) -> str:
        return f"{HOST}:{ports.get(name, 0)}"

    found = {
        "KAFKA_BOOTSTRAP": _cluster(options, ports).front,
        "SCHEMA_REGISTRY_URL": f"http://{at('registry')}{registry.API}",
        "POSTGRES_DSN": server.dsn("whaticket"),
        "REDIS_URL": f"redis://{at('redis')}/0",
        BROKERS: str(options.brokers),
        "TOPIC_PARTITIONS": PARTITIONS,
        "TOPIC_REPLICATION": str(min(3, options.brokers)),
        "WHATSAPP_API_URL": f"http://{at('simulator')}/v25.0",
        "OPENAI_BASE_URL": f"http://{at('model')}/v1",
        "OPENAI_API_KEY": "offline",
    }
    foreign = {variable for name in replaced for variable in REPLACED_BY[name]}
    return {name: value for name, value in found.items() if name not in foreign}


def _ports(
    options: StackOptions, replaced: Mapping[str, str], wanted: Mapping[str, str]
) -> dict[str, int]:
    names: list[str] = []
    for number in range(1, options.brokers + 1):
        names += [f"kafka-{number}", f"kafka-{number}-controller"]
    names += ["registry", "registry-management", "postgres", "redis"]
    names += own.names(options) if options.own else []
    kept = [name for name in names if name.partition("-")[0] not in replaced]
    return choose(kept, {name: _number(wanted.get(_variable(name), "")) for name in kept})


def _broker_count(options: StackOptions, before: Mapping[str, str]) -> int:
    made_with = _number(before.get(BROKERS, ""))
    if made_with and options.brokers not in {0, made_with}:
        raise Misconfigured(
            f"the data in {options.home} is that of {made_with} broker(s), not of"
            f" {options.brokers}: leave out --brokers, or use another WHATICKET_HOME"
        )
    return made_with or options.brokers or 1


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _variable(name: str) -> str:
    return name.upper().replace("-", "_") + "_PORT"


def _cluster(options: StackOptions, ports: Mapping[str, int]) -> kafka.Cluster:
    pairs = [
        (ports.get(f"kafka-{number}", 0), ports.get(f"kafka-{number}-controller", 0))
        for number in range(1, options.brokers + 1)
    ]
    return kafka.Cluster(
        home=options.home, ports=tuple(pairs), fronts=options.fronts, any_time=options.movable_clock
    )
