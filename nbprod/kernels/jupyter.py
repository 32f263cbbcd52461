"""The channels of one kernel as jupyter_client has them, for what is built on it: nbclient.

Messages come in through our own wire all the same: their signature is checked, secrets are masked before anybody sees
them (law 7), and the bytes that came are kept for the journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import zmq
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from traitlets import Type

from nbprod.kernels.client import RECONNECT, KernelClient
from nbprod.kernels.connection import Connection
from nbprod.kernels.wire import Message, Wire

__all__ = ["JupyterClient"]

_CHANNELS = ("iopub", "shell", "control", "stdin")


class _Channel(AsyncZMQSocketChannel):
    """A channel that lets a message be seen before it is handed on; `name`, `wire` and `tap` are set after it is made.

    Whoever polls it gets the message as jupyter_client would give it, but for the header's least parts.
    """

    name: str
    wire: Wire
    tap: Callable[[str, Message], None] | None = None

    async def _recv(self, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]  # as in the parent class
        message = self.wire.unpack(await self.socket.recv_multipart(**kwargs))
        if self.tap is not None:
            self.tap(self.name, message)
        return {
            "header": {"msg_type": message.kind},
            "msg_type": message.kind,
            "parent_header": {"msg_id": message.parent},
            "content": message.content,
            "buffers": [],
        }


class Channels(AsyncKernelClient):
    """jupyter_client's own client; `sent` hears the id of each execute request."""

    shell_channel_class = Type(_Channel)
    iopub_channel_class = Type(_Channel)
    stdin_channel_class = Type(_Channel)
    control_channel_class = Type(_Channel)
    sent: Callable[[str], None]

    def execute(self, *arguments: Any, **options: Any) -> Any:
        """Send an execute request; return its id."""
        message_id = super().execute(*arguments, **options)
        self.sent(str(message_id))
        return message_id

    async def is_alive(self) -> bool:
        """Return True: the keeper says when the kernel is not."""
        return True


class JupyterClient(KernelClient):
    """Talks to one kernel over jupyter_client's channels. One driver owns it.

    `channels` is for coroutines that `run` runs; nobody else may read from the kernel meanwhile.
    """

    channels: Channels

    def __init__(self, connection: Connection, mask: Callable[[bytes, Any], bytes] | None = None) -> None:
        self._loop = asyncio.SelectorEventLoop()  # whatever the program's own loops are
        super().__init__(connection, mask)

    def _connect(self, connection: Connection) -> dict[str, zmq.Socket[bytes]]:
        self.channels = Channels()
        self.channels.load_connection_file(str(connection.file))
        context: Any = self.channels.context
        # As for our own sockets: no message is dropped, and a kernel is reached as soon as it is there.
        for option, value in ((zmq.RCVHWM, 0), (zmq.SNDHWM, 0), (zmq.RECONNECT_IVL, RECONNECT)):
            context.setsockopt(option, value)
        self.channels.start_channels(hb=False)
        self.channels.allow_stdin = False
        for name in _CHANNELS:
            self._channel(name).name, self._channel(name).wire = name, self._wire
        return {name: zmq.Socket.shadow(self._channel(name).socket.underlying) for name in _CHANNELS}

    def _channel(self, name: str) -> Any:
        return getattr(self.channels, f"{name}_channel")

    def tap(self, hear: Callable[[str, Message], None] | None) -> None:
        """Have each message of shell and iopub seen by `hear(channel, message)` as it is received by a coroutine."""
        for name in ("iopub", "shell"):
            self._channel(name).tap = hear

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine to its end; in a thread of its own where this one's event loop is running."""
        task = self._loop.create_task(work)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self._loop.run_until_complete(task)
            return
        thread = threading.Thread(target=contextvars.copy_context().run, args=(self._until, task), name="nbprod-cell")
        thread.start()
        try:
            thread.join()
        except BaseException:
            self._loop.call_soon_threadsafe(task.cancel)
            thread.join()
            raise
        task.result()

    def _until(self, task: asyncio.Task[None]) -> None:
        with contextlib.suppress(BaseException):  # `run` asks the task for it
            self._loop.run_until_complete(task)

    def close(self) -> None:
        """Close all sockets; what was not sent is dropped."""
        if not self._loop.is_closed():
            self.run(_stop_others())
            self.channels.stop_channels()
            self.channels.context.destroy(linger=0)
            self._loop.close()


async def _stop_others() -> None:
    """Have all other tasks of the loop end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
