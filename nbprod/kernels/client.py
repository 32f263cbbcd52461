"""The channels of one kernel: ZeroMQ sockets, polled together with whatever else the driver waits for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zmq

from nbprod.kernels.bootstrap import Observed, bootstrap_source
from nbprod.kernels.connection import Connection
from nbprod.kernels.wire import Message, Wire

__all__ = ["KernelClient"]

RECONNECT = 5
"""Milliseconds between attempts to reach sockets that the kernel has not opened yet."""


class KernelClient:
    """Talks to one kernel. Not thread-safe: one driver owns it."""

    greets = False
    """Whether the kernel says by itself that it is ready."""

    def __init__(self, connection: Connection, mask: Callable[[bytes, Any], bytes] | None = None) -> None:
        self._wire = Wire(connection.key, mask)
        self._poller = zmq.Poller()
        self._names: dict[object, str] = {}
        self._sockets = self._connect(connection)
        for channel, sock in self._sockets.items():
            self._names[sock] = channel
            self._poller.register(sock, zmq.POLLIN)

    def _connect(self, connection: Connection) -> dict[str, zmq.Socket[bytes]]:
        """Return the sockets by channel."""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        sockets: dict[str, zmq.Socket[bytes]] = {}
        kinds = {"iopub": zmq.SUB, "shell": zmq.DEALER, "control": zmq.DEALER, "stdin": zmq.DEALER}
        for channel, kind in kinds.items():
            sock = self._context.socket(kind)
            sock.linger = 0
            sock.setsockopt(zmq.RECONNECT_IVL, RECONNECT)
            # Without a high-water mark a chatty cell's messages wait here and are not dropped.
            sock.setsockopt(zmq.RCVHWM, 0)
            sock.setsockopt(zmq.SNDHWM, 0)
            if kind == zmq.SUB:
                sock.setsockopt(zmq.SUBSCRIBE, b"")
            sock.connect(connection.address(channel))
            sockets[channel] = sock
        return sockets

    def watch(self, descriptor: int, name: str) -> None:
        """Have `wait` report a file descriptor under a name as well."""
        self._poller.register(descriptor, zmq.POLLIN)
        self._names[descriptor] = name

    def unwatch(self, descriptor: int) -> None:
        """Stop watching a descriptor."""
        if self._names.pop(descriptor, None) is not None:
            self._poller.unregister(descriptor)

    def wait(self, timeout: float) -> set[str]:
        """Wait at most `timeout` seconds; return the names of channels and descriptors with something to read."""
        return {self._names[ready] for ready, _ in self._poller.poll(max(0, round(timeout * 1000)))}

    def receive(self, channel: str) -> Message | None:
        """Return the next message of a channel, None when there is none now."""
        try:
            frames = self._sockets[channel].recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None
        return self._wire.unpack(frames)

    def send(self, channel: str, kind: str, content: dict[str, Any]) -> str:
        """Send a request; return its id."""
        message_id, frames = self._wire.pack(kind, content)
        self._sockets[channel].send_multipart(frames)
        return message_id

    def execute(self, code: str, *, silent: bool = False) -> str:
        """Ask for code to be executed; return the request's id."""
        content = {
            "code": code,
            "silent": silent,
            "store_history": not silent,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        return self.send("shell", "execute_request", content)

    def prepare(self, observed: Observed | None) -> None:
        """Have our own code run before the first cell, without a trace (see `nbprod.kernels.bootstrap`)."""
        self.execute(bootstrap_source(observed), silent=True)

    def close(self) -> None:
        """Close all sockets; what was not sent is dropped."""
        self._context.destroy(linger=0)
