"""Where an assigned partition is read from, and what must be found there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from faust.types import TP

from streams.consumer.ledger import Ledger
from streams.state.lineage import other_log
from streams.state.proof import Proof


class Positions:
    """The beginnings of the assigned input partitions.

    Attributes:
        begin: From where on events are delivered: the committed offset, or the beginning.
        read: From where on records are fetched: from the last one applied, if that comes first.
        proofs: What must be found, until it was read.
        unread: Where each log ended then, until all before it was handed on.
    """

    def __init__(self) -> None:
        self.begin: dict[TP, int] = {}
        self.read: dict[TP, int] = {}
        self.proofs: dict[TP, Proof] = {}
        self.unread: dict[TP, int] = {}

    def set(
        self,
        partitions: Iterable[TP],
        committed: Mapping[TP, int | None],
        earliest: Mapping[TP, int],
        proofs: Mapping[TP, Proof],
    ) -> None:
        """Begin anew with these partitions."""
        self.begin = {tp: committed.get(tp) or earliest.get(tp) or 0 for tp in partitions}
        self.proofs = {
            tp: proof
            for tp, proof in proofs.items()
            if tp in self.begin and proof.offset >= earliest.get(tp, 0)
        }
        self.read = {
            tp: min(at, self.proofs[tp].offset) if tp in self.proofs else at
            for tp, at in self.begin.items()
        }

    def due(self, tp: TP, at: int) -> int:
        """Return from where on to read a partition of which nothing was delivered.

        Args:
            tp: The partition.
            at: Its position; up to where events begin nothing was missed.
        """
        return self.read[tp] if at > self.begin.get(tp, at) else at

    def behind(
        self,
        partitions: Iterable[TP],
        ledgers: Mapping[TP, Ledger],
        reach: Callable[[TP, int], int],
    ) -> bool:
        """Tell whether something that was there at the beginning was not handed on yet.

        Args:
            partitions: Those that are looked at.
            ledgers: What was handed on.
            reach: Returns the first offset of a partition from one on that may hold an event.
        """
        for tp in self.unread.keys() & set(partitions):
            ledger = ledgers.get(tp)
            at = self.begin.get(tp, 0) if ledger is None else ledger.next
            if reach(tp, at) < self.unread[tp]:
                return True
            del self.unread[tp]
        return False

    def delivers(self, message: Any) -> bool:
        """Tell whether a record is an event to deliver; before that it is only looked at.

        Raises:
            OtherLog: It is not the record that the table was made from.
        """
        tp = message.tp
        proof = self.proofs.get(tp)
        if proof is not None and message.offset >= proof.offset:
            if proof.fails(message):
                why = f"partition {tp.partition} has another record at offset {proof.offset}"
                raise other_log("a stage", tp.topic, why)
            del self.proofs[tp]
        begin = self.begin.get(tp)
        if begin is None:
            return True
        if message.offset >= begin:
            del self.begin[tp]
            return True
        return False
