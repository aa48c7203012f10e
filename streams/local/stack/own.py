"""Our own processes, as a list: what runs, in which order, and how it says that it is ready.

To load our code takes most of a start. What the longest way to the end needs, preparation and
workers, is loaded (``hold``) while Kafka starts; the rest when Kafka no longer needs every core.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from schemas.changing import replace
from streams.local.stack.options import StackOptions
from streams.local.stack.part import Part
from streams.local.stack.ports import HOST
from streams.local.stack.probe import Probe

LOG: Final = ("kafka", "kafka-1", "kafka-2", "kafka-3", "kafka-4", "kafka-5", "registry")
STAGES: Final = ("dispatch", "ai", "tools", "outbound", "memory", "transcripts")
READY_S: Final = 120.0


def workers(options: StackOptions) -> dict[str, tuple[str, ...]]:
    """Return the worker processes of a layout: part name to arguments of ``worker``.

    The first is ``worker`` (or ``worker-ai`` and so on), further ones end in ``-2`` and up.
    """
    kinds: dict[str, tuple[str, ...]] = {"worker": ()}
    if options.layout == "split":
        kinds = {f"worker-{stage}": (stage,) for stage in STAGES}
    return {
        name if number == 1 else f"{name}-{number}": stages
        for number in range(1, options.workers + 1)
        for name, stages in kinds.items()
    }


def beside(stage: str, copies: int = 1) -> tuple[str, ...]:
    """Return the worker processes of all other stages in split layout: what one stage leaves out.

    Args:
        stage: The stage that stays.
        copies: How many of each worker process the stack has.
    """
    split = StackOptions(home=Path(), layout="split", workers=copies)
    return tuple(name for name, stages in workers(split).items() if stages != (stage,))


def names(options: StackOptions) -> list[str]:
    """Return the parts that listen on a port."""
    found = ("simulator", "model", "webhook", "api", *workers(options))
    return [name for name in found if name not in options.without]


def parts(options: StackOptions, ports: Mapping[str, int], env: Mapping[str, str]) -> list[Part]:
    """Return our own processes and the steps before them.

    Args:
        options: What the stack is to be.
        ports: Port of each part that listens; a part without one is left out.
        env: Environment of all of them.
    """
    return [
        _prepare(options, env),
        *_helpers(options, ports, env),
        *_services(options, ports, env),
    ]


def _prepare(options: StackOptions, env: Mapping[str, str]) -> Part:
    return Part(
        name="prepare",
        argv=_whaticket(("hold", "prepare", "--layout", options.layout)),
        env=env,
        needs=(*LOG, "postgres"),
        held=True,
        ready_s=READY_S,
        own=True,
    )


def _helpers(options: StackOptions, ports: Mapping[str, int], env: Mapping[str, str]) -> list[Part]:
    found: list[Part] = []
    for name, extra in (("simulator", options.simulator), ("model", _model(options))):
        if port := ports.get(name):
            argv = (name, "--port", str(port), *extra)
            helper = _service(name, argv, port, "/health", env)
            found.append(replace(helper, follows=("prepare",)))
    return found


def _services(
    options: StackOptions, ports: Mapping[str, int], env: Mapping[str, str]
) -> list[Part]:
    commands: dict[str, tuple[str, ...]] = {"webhook": ("webhook",), "api": ("api",)}
    commands |= {name: ("worker", *stages) for name, stages in workers(options).items()}
    found: list[Part] = []
    for name, argv in commands.items():
        if port := ports.get(name):
            its = {**env, f"{argv[0].upper()}_PORT": str(port)}
            if argv[0] == "worker":
                its["INSTANCE"] = name
            service = _service(name, ("hold", *argv), port, "/health/ready", its)
            if argv[0] == "worker":  # for good: the next start shall not wait for its session
                service = replace(service, stop_signal=signal.SIGINT)
            follows = () if argv[0] == "worker" else LOG
            needs = ("prepare", "redis")
            found.append(replace(service, needs=needs, held=True, follows=follows))
    return found


def _model(options: StackOptions) -> tuple[str, ...]:
    named = ("--model", options.model) if options.model else ()
    return (*named, "--latency-ms", str(options.latency_ms)) if options.latency_ms else named


def _service(
    name: str,
    argv: tuple[str, ...],
    port: int,
    path: str,
    env: Mapping[str, str],
) -> Part:
    root = f"http://{HOST}:{port}"
    return Part(
        name=name,
        argv=_whaticket(argv),
        env=env,
        address=root,
        probe=Probe("http", root + path),
        ready_s=READY_S,
        own=True,
    )


def _whaticket(argv: tuple[str, ...]) -> tuple[str, ...]:
    # -P: another package `streams` in the current folder is none of ours.
    return (sys.executable, "-P", "-m", "streams", *argv)
