"""Which faults strike whom, and when: a pure function of the seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from schemas.errors import Misconfigured
from streams.local.chaos.catalogue import FAULTS, Setting

MARGIN: Final = 0.12
"""Share of the messages before the first fault, and after the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One fault that is going to happen.

    Attributes:
        fault: Its name in the catalogue.
        whom: The parts that it strikes, in order.
        share: Share of all messages that are sent before it.
        seconds: How long it lasts, where it lasts.
        seed: What else it needs chosen follows from it.
    """

    fault: str
    whom: tuple[str, ...]
    share: float
    seconds: float
    seed: int


def check(names: Sequence[str]) -> None:
    """Refuse names that no fault has.

    Raises:
        Misconfigured: Says which, and which there are.
    """
    if unknown := [name for name in names if name not in FAULTS]:
        raise Misconfigured(f"no such fault: {', '.join(unknown)}; there are {', '.join(FAULTS)}")


def schedule(seed: int, names: Sequence[str], setting: Setting) -> list[Planned]:
    """Return what happens, in order of time.

    Args:
        seed: Everything that the catalogue leaves open follows from it.
        names: Faults, such as ``F1``.
        setting: The stack that they happen to.

    Raises:
        Misconfigured: There is no such fault, or it cannot happen to this stack.
    """
    chance = random.Random(f"schedule:{seed}")  # noqa: S311 - a plan, not a secret
    strikes: list[tuple[str, tuple[str, ...]]] = []
    check(names)
    for name in names:
        kind = FAULTS[name]
        if setting.brokers < kind.brokers:
            raise Misconfigured(f"{name} needs {kind.brokers} brokers: {kind.what}")
        victims = kind.victims(setting, chance)
        if not victims:
            raise Misconfigured(f"{name} finds nobody to strike in this stack: {kind.what}")
        strikes += [(name, whom) for whom in victims]
    chance.shuffle(strikes)
    slot = (1 - 2 * MARGIN) / len(strikes) if strikes else 0.0
    return [
        Planned(
            fault=name,
            whom=whom,
            share=MARGIN + slot * (number + chance.uniform(0.0, 0.6)),
            seconds=chance.uniform(*FAULTS[name].seconds),
            seed=chance.getrandbits(32),
        )
        for number, (name, whom) in enumerate(strikes)
    ]
