"""What stands around a simulator in tests: a clock and our webhook, as functions."""

from __future__ import annotations

NUMBER = "1122334455667"
AUTH = {"Authorization": "Bearer planted-token"}


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def now_ms(self) -> int:
        return self.now


class WatchedClock(Clock):
    """Counts how often it is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    def now_ms(self) -> int:
        self.looks += 1
        return super().now_ms()


class Webhook:
    """Our webhook, as a function: keeps what it was sent and answers as told."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.answers: list[int] = []

    async def post(self, body: bytes) -> int:
        self.bodies.append(body)
        return self.answers.pop(0) if self.answers else 200
