"""Connections to brokers under uvloop: a write to a lost one is a lost connection, no bug.

aiokafka expects ``OSError`` of a write that cannot be done any more. uvloop raises
``RuntimeError`` when a reset closed the transport before the reader noticed. That escapes into the
routine that fetches, which ends: nothing is read from then on, and nobody is told.

Source: aiokafka 0.14.0, ``conn.py`` (``AIOKafkaConnection.send``) and ``consumer/fetcher.py``
(``_fetch_requests_routine``); uvloop, ``handles/handle.pyx`` (``_ensure_alive``).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

Send = Callable[..., Any]
PLAIN: Final[Send] = AIOKafkaConnection.send


@functools.wraps(PLAIN)
def _send(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
    try:
        return PLAIN(self, request, *args, **kwargs)
    except RuntimeError as exc:
        self.close(reason=CloseReason.CONNECTION_BROKEN, exc=exc)
        raise KafkaConnectionError(f"Connection at {self.host}:{self.port} broken") from exc


def mend() -> None:
    """Let every connection of this process behave so; doing it again changes nothing."""
    AIOKafkaConnection.send = _send
