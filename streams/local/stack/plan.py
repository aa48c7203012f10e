"""From options to parts, ports and environment: the plan of one stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streams.local.stack import envfile, kafka, own, postgres, redis, registry
from streams.local.stack.artifacts import read_lock
from streams.local.stack.fetch import Fetcher
from streams.local.stack.java import find_java
from streams.local.stack.options import StackOptions
from streams.local.stack.part import Part
from streams.local.stack.ports import HOST, choose
from streams.settings import Settings

PARTITIONS: Final = "12"
USUAL: Final = {"WEBHOOK_PORT": 8000, "API_PORT": 8001}
REPLACED_BY: Final = {
    "kafka": "KAFKA_BOOTSTRAP",
    "registry": "SCHEMA_REGISTRY_URL",
    "postgres": "POSTGRES_DSN",
    "redis": "REDIS_URL",
}
MODEL: Final = ("OPENAI_API_KEY", "OPENAI_BASE_URL")
PLAIN: Final = ("PATH", "HOME", "LANG", "TMPDIR", "TZ", "USER", "LOGNAME")
"""All that other people's programs get of the user's environment: settings of theirs that
happen to be set (KAFKA_OPTS, PGDATA, QUARKUS_…) must not change the stack."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a start will do.

    Attributes:
        parts: Everything to start.
        ports: Port of each name, such as ``webhook`` or ``kafka``.
        written: What `stack.env` holds.
        env: Whole environment of our own processes.
        replaced: Parts that the user's environment replaces, by the variable that does.
    """

    parts: list[Part]
    ports: dict[str, int]
    written: dict[str, str]
    env: dict[str, str]
    replaced: dict[str, str]


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


def replaced(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the parts that the user's environment replaces: name to variable."""
    found = {name: variable for name, variable in REPLACED_BY.items() if environment.get(variable)}
    if variable := next(filter(environment.get, MODEL), None):
        found["model"] = variable
    return found


def make_plan(options: StackOptions, around: Surroundings) -> Plan:
    """Decide everything that a start needs; writes nothing.

    Raises:
        Misconfigured: A package of the embedded stack is missing, or `stack.env` is damaged.
        NoFreePort: No port is free.
    """
    before = envfile.read(options.home / envfile.NAME)
    gone = replaced(around.environment)
    ports = _ports(options, gone, before)
    secrets = envfile.make_secrets() | envfile.make_local_secrets()
    kept = {name: before.get(name, value) for name, value in secrets.items()}
    server = postgres.Server(
        home=options.home, port=ports.get("postgres", 0), password=kept["POSTGRES_PASSWORD"]
    )
    cluster = kafka.Cluster(home=options.home, ports=_brokers(options, ports))
    parts = [] if {"kafka", "registry"} <= gone.keys() else _java(cluster, server, ports, around)
    plain = {name: around.environment[name] for name in PLAIN if name in around.environment}
    parts.append(postgres.part(server, env=plain))
    parts.append(redis.part(options.home, ports.get("redis", 0), env=plain))
    addresses = {
        "KAFKA_BOOTSTRAP": cluster.bootstrap,
        "SCHEMA_REGISTRY_URL": _registry(ports).url,
        "POSTGRES_DSN": server.dsn("whaticket"),
        "REDIS_URL": f"redis://{HOST}:{ports.get('redis', 0)}/0",
        "TOPIC_PARTITIONS": PARTITIONS,
        "TOPIC_REPLICATION": str(min(3, options.brokers)),
        "WHATSAPP_API_URL": f"http://{HOST}:{ports.get('simulator', 0)}/v25.0",
        "OPENAI_BASE_URL": f"http://{HOST}:{ports.get('model', 0)}/v1",
        "OPENAI_API_KEY": "offline",
    }
    dropped = set(gone.values()) | (set(MODEL) if "model" in gone else set())
    written = {**kept, **addresses, **{_variable(name): str(port) for name, port in ports.items()}}
    written = {name: value for name, value in written.items() if name not in dropped}
    env = {**written, **around.environment, "WHATICKET_HOME": str(options.home)}
    infrastructure = [part for part in parts if part.name.partition("-")[0] not in gone]
    mine = own.parts(options, ports, env) if options.own else []
    return Plan([*infrastructure, *mine], ports, written, env, gone)


def _java(
    cluster: kafka.Cluster, server: postgres.Server, ports: Mapping[str, int], around: Surroundings
) -> list[Part]:
    lock = read_lock()
    java = find_java(around.settings.java_home)
    fetcher = Fetcher(around.settings.maven_mirror, around.cache / "maven")
    bundle = lock["registry"]
    program = registry.Program(
        folder=around.cache / f"registry-{bundle.digest}",
        arguments=cluster.home / "run" / "registry.args",
        bundle=bundle,
        fetcher=fetcher,
    )
    plain = {name: around.environment[name] for name in PLAIN if name in around.environment}
    brokers = kafka.parts(cluster, java=java, env=plain, bundle=lock["kafka"], fetcher=fetcher)
    return [*brokers, registry.part(_registry(ports), server, program, java=java, env=plain)]


def _ports(
    options: StackOptions, gone: Mapping[str, str], before: Mapping[str, str]
) -> dict[str, int]:
    names: list[str] = []
    if "kafka" not in gone:
        for number in range(1, options.brokers + 1):
            names += [f"kafka-{number}", f"kafka-{number}-controller"]
    if "registry" not in gone:
        names += ["registry", "registry-management"]
    names += [name for name in ("postgres", "redis") if name not in gone]
    if options.own:
        names += own.names(options, offline_model="model" not in gone)
    wanted = {
        name: int(before.get(_variable(name), USUAL.get(_variable(name), 0))) for name in names
    }
    return choose(names, wanted)


def _variable(name: str) -> str:
    return name.upper().replace("-", "_") + "_PORT"


def _brokers(options: StackOptions, ports: Mapping[str, int]) -> tuple[tuple[int, int], ...]:
    numbers = range(1, options.brokers + 1)
    return tuple(
        (ports.get(f"kafka-{n}", 0), ports.get(f"kafka-{n}-controller", 0)) for n in numbers
    )


def _registry(ports: Mapping[str, int]) -> registry.Address:
    port, management = ports.get("registry", 0), ports.get("registry-management", 0)
    return registry.Address(port=port, management=management)
