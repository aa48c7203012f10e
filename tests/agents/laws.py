"""How the machines that draw what happens are run."""

from __future__ import annotations

from hypothesis import HealthCheck, settings


def machine(examples: int, *, steps: int = 30) -> settings:
    """Return the settings of a machine: how many stories it tells, and how long each one is."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        suppress_health_check=[HealthCheck.too_slow],
    )
