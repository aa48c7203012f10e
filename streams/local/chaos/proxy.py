"""A TCP proxy before a broker: passes bytes on, slowly, in drops, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass
from typing import Final

from streams.local.stack.ports import HOST

CHUNK: Final = 64 << 10
DROP: Final = 64
"""Bytes of one drop of a trickle."""
RESET: Final = struct.pack("ii", 1, 0)
"""Linger for no time: closing sends a reset, as a firewall that forgot a connection does."""


@dataclass(slots=True)
class Weather:
    """What happens to bytes on their way.

    Attributes:
        delay_s: How long each chunk waits.
        drop_s: How long each drop of 64 bytes waits; 0 is no trickle.
    """

    delay_s: float = 0.0
    drop_s: float = 0.0


class Proxy:
    """Stands before one broker.

    Args:
        port: Where clients find it.
        upstream: Port of the broker.

    Attributes:
        weather: What happens to bytes from now on.
        cut: Connections that were reset.
        delayed: Chunks that had to wait.
        trickled: Chunks that went in drops.
    """

    def __init__(self, port: int, upstream: int) -> None:
        self.port = port
        self.upstream = upstream
        self.weather = Weather()
        self.cut = self.delayed = self.trickled = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, HOST, self.port)

    async def stop(self) -> None:
        """Listen no more, and reset what is open."""
        if self._server is not None:
            self._server.close()
        self.reset()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def reset(self) -> int:
        """Reset every open connection; return how many there were."""
        writers = tuple(self._open)
        for writer in writers:
            raw: socket.socket | None = writer.get_extra_info("socket")
            if raw is not None:
                with contextlib.suppress(OSError):
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
        self.cut += len(writers) // 2
        return len(writers) // 2

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            inner, outer = await asyncio.open_connection(HOST, self.upstream)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, outer}
        try:
            await asyncio.gather(self._pass(reader, outer), self._pass(inner, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open -= {writer, outer}
            for each in (writer, outer):
                each.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK):
            weather = self.weather
            if weather.delay_s:
                self.delayed += 1
                await asyncio.sleep(weather.delay_s)
            if weather.drop_s:
                self.trickled += 1
                for place in range(0, len(chunk), DROP):
                    writer.write(chunk[place : place + DROP])
                    await writer.drain()
                    await asyncio.sleep(weather.drop_s)
            else:
                writer.write(chunk)
                await writer.drain()
        writer.transport.abort()
        raise ConnectionResetError
