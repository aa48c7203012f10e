"""Whether a table belongs to the logs that it was made from: offsets that lie are refused.

A topic that was created anew, restored or truncated has other events at offsets that a table has
applied; they would be taken for old ones and skipped.
"""

from __future__ import annotations

from typing import Any

from faust.types import TP

from schemas.errors import Misconfigured
from streams.table import AckedTable


def check_ids(table: AckedTable, ids: dict[str, str]) -> None:
    """Refuse a table whose input topics were recreated: the offsets start again.

    Raises:
        Misconfigured: Names the topic.
    """
    for owner in table.owners.values():
        for topic, known in owner.topics.items():
            if known and ids.get(topic, known) != known:
                raise Misconfigured(other_log(table.name, topic, "was created anew"))


def check_ends(applied: dict[TP, int], ends: Any) -> None:
    """Refuse tables that applied offsets which their input logs do not have.

    Raises:
        Misconfigured: Names the topic and partition.
    """
    for tp, offset in applied.items():
        if (end := ends.get(tp)) is not None and offset >= end:
            where = f"partition {tp.partition} ends at {end}, but {offset} was applied"
            raise Misconfigured(other_log("a stage", tp.topic, where))


def other_log(stage: str, topic: str, why: str) -> str:
    """Return what an operator reads when a table and a log do not belong together."""
    return (
        f"the table of {stage} belongs to another log of {topic}: {why}. Its events would be"
        " taken for old ones. Restore the topic, or delete the stage's changelog topic as well"
    )
