"""What one stack is to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Layout = Literal["all-in-one", "split"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOptions:
    """What one stack is to be.

    Attributes:
        home: Folder of its data, logs and `stack.env`; two stacks never share one.
        brokers: Kafka brokers; with 3 or more, topics have three replicas of which two must
            agree. 0 is as many as the folder's data was made with, at first 1.
        own: Whether our own processes run as well, not only Kafka, registry, Postgres and Redis.
        layout: One worker process for all stages, or one for each.
        workers: How many of each worker process.
        model: Which offline model answers; empty is the scripted one.
        latency_ms: How long the offline model takes for an answer.
        restart: Whether our own processes are started again after a crash.
        warm: Whether caches that make later starts quicker are made, once, in the background.
        simulator: Further words of ``whaticket simulator``, such as ``--rules meta``.
        movable_clock: Whether the simulator may move the clock of all our processes; brokers take
            records of any time then.
        alone: Whether a part that the environment names is refused: the stack is broken on purpose,
            or its figures are those of its own parts.
        without: Our own parts to leave out, such as ``simulator``.
        settings: Settings of our own processes, by the names of their variables.
        fronts: For each broker a further port that it listens on, and the port where clients are
            told to find it: a proxy of the caller's. Empty is none.
    """

    home: Path
    brokers: int = 0
    own: bool = True
    layout: Layout = "all-in-one"
    workers: int = 1
    model: str = ""
    latency_ms: int = 0
    restart: bool = False
    warm: bool = True
    simulator: tuple[str, ...] = ()
    movable_clock: bool = False
    alone: bool = False
    without: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    fronts: tuple[tuple[int, int], ...] = ()
