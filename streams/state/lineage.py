"""Whether a table belongs to the logs that it was made from: offsets that lie are refused.

A topic that was created anew, restored or truncated has other events at offsets that a table has
applied; they would be taken for old ones and skipped. A log changes only at its end, so one record
proves all before it: the last one that was applied, which is read again at each assignment.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from faust.types import TP

from schemas.errors import Misconfigured
from streams.state.proof import OtherLog, Proof
from streams.state.records import UNMARKED
from streams.state.table import AckedTable


def check_ids(table: AckedTable, ids: dict[str, str]) -> None:
    """Refuse a table whose input topics were recreated: the offsets start again.

    Raises:
        OtherLog: Names the topic.
    """
    for owner in table.owners.values():
        for topic, known in owner.topics.items():
            if known and ids.get(topic, known) != known:
                raise other_log(table.name, topic, "was created anew")


def check_ends(applied: dict[TP, int], ends: Any) -> None:
    """Refuse tables that applied offsets which their input logs do not have.

    Raises:
        OtherLog: Names the topic and partition.
    """
    for tp, offset in applied.items():
        if (end := ends.get(tp)) is not None and offset >= end:
            where = f"partition {tp.partition} ends at {end}, but {offset} was applied"
            raise other_log("a stage", tp.topic, where)


def check_counts(table: AckedTable, partitions: int) -> None:
    """Refuse a table whose input topics had another number of partitions.

    Raises:
        Misconfigured: Names the numbers.
    """
    for owner in table.owners.values():
        if owner.partitions not in (0, partitions):
            raise Misconfigured(grown(f"the topics of {table.name}", owner.partitions, partitions))


def grown(what: str, before: int, now: int) -> str:
    """Return what an operator reads when somebody has changed the number of partitions."""
    return (
        f"{what} had {before} partitions and now have {now}: keys would move to other partitions,"
        " away from their order and their state. The number is never changed; restore the topics"
        f" with {before} partitions, or start with new topics and changelogs"
    )


def proofs(tables: Iterable[AckedTable]) -> dict[TP, Proof]:
    """Return the proof of each input partition, where it is known."""
    return {
        tp: Proof(table.ends[tp], mark)
        for table in tables
        for tp, mark in table.proofs.items()
        if mark != UNMARKED
    }


def other_log(stage: str, topic: str, why: str) -> OtherLog:
    """Return what an operator reads when a table and a log do not belong together."""
    return OtherLog(
        f"the table of {stage} belongs to another log of {topic}: {why}. Its events would be"
        " taken for old ones. Restore the topic, or delete the stage's changelog topic as well"
    )
