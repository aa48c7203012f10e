"""The embedded stack: real Kafka, registry, PostgreSQL and Redis from packages, without Docker.

`running` starts it; `Stack` is what one gets.
"""

from __future__ import annotations

from streams.local.stack.options import StackOptions
from streams.local.stack.process import Crashed
from streams.local.stack.stack import Stack, running

__all__ = ["Crashed", "Stack", "StackOptions", "running"]
