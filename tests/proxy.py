"""A TCP proxy on loopback that spoils a connection as networks do; it knows no protocol, and is switched at run time.

    with Proxy(("127.0.0.1", port)) as proxy:
        client = connect(proxy.host, proxy.port)
        proxy.switch(Fault.RESET)
        …
        proxy.switch(Fault.NONE)

What lost bytes to a fault stays lost: a connection that was half-open or cut is dead for ever, also after `NONE`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from enum import Enum
from types import TracebackType
from typing import Self

__all__ = ["Fault", "Proxy"]

_CHUNK = 1 << 16


class Fault(Enum):
    """What happens to connections from the moment of the switch."""

    NONE = "none"
    """Bytes pass."""
    DROP = "drop"
    """Connections are closed (FIN), those under way and each new one."""
    RESET = "reset"
    """Connections are reset (RST), those under way and each new one."""
    DELAY = "delay"
    """Each piece of the reply comes `Proxy.delay` seconds late."""
    HALF_OPEN = "half-open"
    """The other end is gone and nobody says so: what is sent is swallowed, and no reply comes."""
    TRUNCATE = "truncate"
    """The reply ends (FIN) after `Proxy.keep` bytes."""
    GARBLE = "garble"
    """The last bit of each piece of the reply is flipped."""


class _Link:
    """One connection, both ways."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter, *, silent: bool) -> None:
        self.client = client
        self.server = server
        self.silent = silent
        self.replied = 0

    def end(self, *, reset: bool = False) -> None:
        for writer in (self.client, self.server):
            if reset and not writer.transport.is_closing():  # no lingering: RST instead of FIN
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            else:
                writer.close()


class Proxy:
    """Forwards connections to a server, spoilt as the switch says; its loop runs in a thread of its own.

    Args:
        target: host and port of the server.
        delay: seconds, for `Fault.DELAY`.
        keep: bytes of a connection's replies that `Fault.TRUNCATE` lets pass after the switch.
    """

    def __init__(self, target: tuple[str, int], *, delay: float = 5.0, keep: int = 600) -> None:
        self.delay = delay
        self.keep = keep
        self.connections = 0
        """How many were accepted so far."""
        self._target = target
        self._fault = Fault.NONE
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    @property
    def fault(self) -> Fault:
        """The fault of the moment."""
        return self._fault

    def switch(self, fault: Fault) -> None:
        """Change what happens, at once and for the connections under way, too."""
        asyncio.run_coroutine_threadsafe(self._switch(fault), self._loop).result(timeout=10)

    def __enter__(self) -> Self:
        """Start to accept connections."""
        self._thread.start()
        starting = asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(timeout=10)
        self.host, self.port = self._server.sockets[0].getsockname()[:2]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything and wait for the thread."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    async def _switch(self, fault: Fault) -> None:
        self._fault = fault
        for link in list(self._links):
            link.replied = 0
            if fault is Fault.HALF_OPEN:
                link.silent = True
            elif fault in (Fault.DROP, Fault.RESET):
                link.end(reset=fault is Fault.RESET)

    async def _close(self) -> None:
        self._server.close()
        for link in list(self._links):
            link.end()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        try:
            from_server, to_server = await asyncio.open_connection(*self._target)
        except OSError:
            to_client.close()
            return
        link = _Link(to_client, to_server, silent=self._fault is Fault.HALF_OPEN)
        self._links.add(link)
        try:
            if self._fault in (Fault.DROP, Fault.RESET):
                link.end(reset=self._fault is Fault.RESET)
            else:
                await asyncio.gather(self._forward(link, from_client), self._reply(link, from_server))
        finally:
            link.end()
            self._links.discard(link)

    async def _forward(self, link: _Link, source: asyncio.StreamReader) -> None:
        """Pass on what the client sends."""
        with contextlib.suppress(OSError):
            while data := await source.read(_CHUNK):
                if not link.silent:
                    link.server.write(data)
                    await link.server.drain()
        link.end()

    async def _reply(self, link: _Link, source: asyncio.StreamReader) -> None:
        """Pass on what the server sends, or what the fault leaves of it."""
        with contextlib.suppress(OSError):
            while data := await source.read(_CHUNK):
                if self._fault is Fault.DELAY:
                    await asyncio.sleep(self.delay)
                if link.silent:
                    continue
                if self._fault is Fault.GARBLE:
                    data = data[:-1] + bytes([data[-1] ^ 1])
                if self._fault is Fault.TRUNCATE:
                    data = data[: max(0, self.keep - link.replied)]
                    if not data:
                        break
                link.replied += len(data)
                link.client.write(data)
                await link.client.drain()
                if self._fault is Fault.TRUNCATE and link.replied >= self.keep:
                    break
        if not link.silent:  # of a half-open connection, the client never hears the end
            link.end()
