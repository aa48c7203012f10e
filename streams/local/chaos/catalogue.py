"""The faults: what each one is, whom it may strike, and what proves that it happened. Pure.

Acts are elsewhere (``streams.local.chaos.acts``): this module is what a plan and a verdict need.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from schemas.topics import STATEFUL_STAGES
from streams.local.chaos.proof import Proof, at_least, outslept, replaced

QUORUM: Final = 3
SPARED: Final = ("kafka", "registry", "postgres", "redis", "simulator", "model")
"""Real parts and the outside world; other faults are theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The stack that faults happen to.

    Attributes:
        parts: Our own processes, by name.
        brokers: Kafka brokers.
    """

    parts: tuple[str, ...]
    brokers: int

    @property
    def workers(self) -> list[str]:
        """Worker processes."""
        return [name for name in self.parts if name.startswith("worker")]

    @property
    def stages(self) -> list[str]:
        """Worker processes that have a table."""
        return [name for name in self.workers if stage_of(name) in ("", *STATEFUL_STAGES)]


Victims = Callable[[Setting, random.Random], list[tuple[str, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of fault.

    Attributes:
        what: What happens, in words.
        victims: Whom it strikes, one entry for each time that it happens.
        proof: Whether what was seen proves it.
        seconds: How long it lasts: the shortest and the longest.
        brokers: How many brokers it needs.
        workers: How many of each worker process it needs.
        stage: Of which stage alone, in the split layout; empty is each.
        proxied: Whether Kafka is reached through our proxy.
    """

    what: str
    victims: Victims
    proof: Proof
    seconds: tuple[float, float] = (0.0, 0.0)
    brokers: int = 1
    workers: int = 1
    stage: str = ""
    proxied: bool = False


def ours(names: list[str]) -> tuple[str, ...]:
    """Return the parts of a stack that are our own processes, in a fixed order."""
    return tuple(
        sorted(n for n in names if n not in SPARED and not n.startswith(("kafka-", "seed")))
    )


def stage_of(worker: str) -> str:
    """Return the stage that a worker's name tells; empty is all of them."""
    words = worker.split("-")
    return words[1] if len(words) > 1 and not words[1].isdigit() else ""


def is_further(worker: str) -> bool:
    """Tell whether it is not the first of its stages."""
    return worker.rpartition("-")[2].isdigit()


def _each(setting: Setting, _: random.Random) -> list[tuple[str, ...]]:
    return [(name,) for name in setting.parts if not name.endswith(tuple("23456789"))]


def _each_stage(setting: Setting, _: random.Random) -> list[tuple[str, ...]]:
    return [(name,) for name in setting.stages]


def _one_stage(setting: Setting, chance: random.Random) -> list[tuple[str, ...]]:
    return [(chance.choice(setting.stages),)]


def _all_once(setting: Setting, _: random.Random) -> list[tuple[str, ...]]:
    return [setting.parts]


def _workers_once(setting: Setting, _: random.Random) -> list[tuple[str, ...]]:
    return [tuple(setting.workers)]


def _one_of_two(setting: Setting, chance: random.Random) -> list[tuple[str, ...]]:
    """A worker whose partitions another one takes meanwhile."""
    spare = [name for name in setting.stages if f"{name}-2" in setting.parts]
    return [(chance.choice(spare),)] if spare else []


def _both_of_two(setting: Setting, chance: random.Random) -> list[tuple[str, ...]]:
    """Every copy of a worker."""
    return [(name, f"{name}-2") for (name,) in _one_of_two(setting, chance)]


def _further(setting: Setting, _: random.Random) -> list[tuple[str, ...]]:
    further = [name for name in setting.stages if is_further(name)]
    return [tuple(further)] if further else []


def _two_brokers(setting: Setting, chance: random.Random) -> list[tuple[str, ...]]:
    names = [f"kafka-{number}" for number in range(1, setting.brokers + 1)]
    return [tuple(chance.sample(names, 2))]


def _all_brokers(setting: Setting, _: random.Random) -> list[tuple[str, ...]]:
    if setting.brokers == 1:
        return [("kafka",)]
    return [tuple(f"kafka-{number}" for number in range(1, setting.brokers + 1))]


def _only(*names: str) -> Victims:
    return lambda _, __: [names]


def _with_worker(name: str) -> Victims:
    return lambda setting, chance: [(name, chance.choice(setting.stages))]


FAULTS: Final[dict[str, Kind]] = {
    "F1": Kind(what="kill -9 of each process of ours", victims=_each, proof=replaced),
    "F1w": Kind(
        what="SIGKILL exactly between state, publication and acknowledgement",
        victims=_each_stage,
        proof=at_least(crashes=2),
    ),
    "F2": Kind(
        what="SIGTERM and restart of each process, one after the other",
        victims=_all_once,
        proof=at_least(restarted=1),
    ),
    "F2t": Kind(
        what="a rolling release that adds an input topic to a stage, back and forth",
        victims=_both_of_two,
        proof=at_least(older=2, newer=2, waiting=1),
        seconds=(6.0, 10.0),
        workers=2,
    ),
    "F3": Kind(
        what="SIGSTOP for two session timeouts, then SIGCONT: a zombie",
        victims=_one_of_two,
        proof=outslept,
        workers=2,
    ),
    "F4": Kind(
        what="kill -9 of one broker of three, then of a second one",
        victims=_two_brokers,
        proof=at_least(down=2, refused=1),
        seconds=(8.0, 12.0),
        brokers=QUORUM,
    ),
    "F5": Kind(
        what="kill -9 of every broker, away for a minute",
        victims=_all_brokers,
        proof=at_least(down=1, down_s=60, refused=1),
        seconds=(60.0, 61.0),
    ),
    "F6": Kind(
        what="brokers slow, trickling, connections reset (a proxy of ours)",
        victims=_all_brokers,
        proof=at_least(cut=3, delayed=1, trickled=1),
        seconds=(4.0, 6.0),
        proxied=True,
    ),
    "F7": Kind(
        what="Postgres: sessions terminated, then kill -9 and restart",
        victims=_only("postgres"),
        proof=at_least(terminated=1, down_s=1),
        seconds=(4.0, 8.0),
    ),
    "F8": Kind(
        what="Redis: garbage, FLUSHALL, then kill -9 and restart",
        victims=_only("redis"),
        proof=at_least(garbage=1, down_s=1),
        seconds=(4.0, 8.0),
    ),
    "F9": Kind(
        what="the model: 429, 500, slow, cut, no JSON, unknown tool, endless tools, refusal, 10 MB",
        victims=_only("model"),
        proof=at_least(kinds=4),
    ),
    "F10": Kind(
        what="registry killed while a worker starts, then started",
        victims=_with_worker("registry"),
        proof=at_least(down_s=1, waited=1),
        seconds=(5.0, 8.0),
    ),
    "F11": Kind(
        what="poison records on every input of dispatch",
        victims=_only("kafka"),
        proof=at_least(written=1),
    ),
    "F12": Kind(
        what="four times the partitions: refused by tool and worker; at the end they are there",
        victims=_one_stage,
        proof=at_least(by_tool=1, by_worker=1, unchanged=1, ended=1, not_again=1),
    ),
    "F13": Kind(
        what="workers, in the split layout those of ai: scaled to one, to six, to two, each 10 s",
        victims=_further,
        proof=at_least(left=9, joined=9),
        seconds=(10.0, 10.0),
        workers=6,
        stage="ai",
    ),
    "F14": Kind(
        what="the clock of one worker of two is an hour wrong",
        victims=_one_of_two,
        proof=at_least(skewed_s=15),
        seconds=(20.0, 25.0),
        workers=2,
    ),
    "F15": Kind(
        what="one customer writes two messages of five",
        victims=_only("customer"),
        proof=at_least(hot=50),
        seconds=(5.0, 5.0),
    ),
    "F16": Kind(
        what="committed offsets reset to earliest while the workers are stopped",
        victims=_workers_once,
        proof=at_least(partitions=1, again=1),
    ),
    "F17": Kind(
        what="a producer with a newer schema; a worker starts with the older one beside it",
        victims=_with_worker("registry"),
        proof=at_least(version=2, newer=1),
    ),
    "W1": Kind(
        what="WhatsApp: taken but the connection cut, 504, 503 bursts, slow; statuses early,"
        " late, twice, out of order",
        victims=_only("simulator"),
        proof=at_least(kinds=5, cut=1),
        seconds=(15.0, 20.0),
    ),
    "W2": Kind(
        what="WhatsApp brings messages again, in batches, overtaken by others, in odd shapes",
        victims=_only("simulator"),
        proof=at_least(again=5, batched=5, overtaken=5, odd=3),
        seconds=(15.0, 20.0),
    ),
}
"""Every fault by its name."""
