"""Control records of a changelog partition: what a worker notes about the partition itself."""

from __future__ import annotations

from typing import Final, Self

import msgspec

from streams.state.records import Unreadable

CONTROL: Final = b"\x00"
"""First byte of the keys of control records; no conversation id starts with NUL."""

OWNER_KEY: Final = CONTROL + b"owner"
"""Key of the control record that names the owner of a changelog partition."""

FUSE_KEY: Final = CONTROL + b"fuse"
"""Key of the control record that counts the events given up in a row."""

_ENCODER: Final = msgspec.json.Encoder()


class ControlRecord(msgspec.Struct, frozen=True):
    """What every control record has.

    Attributes:
        epoch: Of the owner that wrote it; grows by one with each assignment of the partition.
    """

    epoch: int

    def dumps(self) -> bytes:
        """Encode as JSON."""
        return _ENCODER.encode(self)

    @classmethod
    def loads(cls, raw: bytes) -> Self:
        """Decode.

        Raises:
            Unreadable: It is no such control record.
        """
        try:
            return msgspec.json.decode(raw, type=cls)
        except ValueError as exc:
            raise Unreadable("no control record") from exc


class Owner(ControlRecord, frozen=True):
    """Who may write the partition since when.

    Attributes:
        topics: Id of each input topic, when the broker tells it: another id is another log.
        partitions: How many partitions the topics had; 0 is not known.
    """

    topics: dict[str, str] = {}
    partitions: int = 0


class Burnt(ControlRecord, frozen=True):
    """How far the fuse is burnt (``streams.deadletters.fuse``).

    Attributes:
        given_up: Events given up since the last one that succeeded.
    """

    given_up: int
