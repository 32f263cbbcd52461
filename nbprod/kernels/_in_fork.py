"""ipykernel's own kernel in a forked process, its messages over a pair of sockets instead of ZeroMQ's.

nbprod never imports this file: the fork server (`nbprod.execution.fork_server`), which runs in the kernel's
interpreter, loads it by its path, after `_in_pipe.py`. Written against ipykernel 7; imports nothing but that and the
standard library.

Everything that a notebook can see is ipykernel's: the shell, `get_ipython().kernel`, streams, display hook, comms, the
running event loop. What is left out are ZeroMQ's sockets and the threads that serve them. So a cell costs a few
hundred microseconds and not a few milliseconds, and there is nothing to wait for at start and end.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import gc
import importlib
import importlib.util
import io
import json
import os
import socket
import sys
import threading
from typing import Any

from ipykernel import kernelbase
from ipykernel._version import __version__
from ipykernel.iostream import OutStream
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from traitlets import Type

if __version__.partition(".")[0] != "7":
    raise ImportError(f"kernels of ipykernel {__version__} are not forked, only those of ipykernel 7")

BEFORE: set[str] = set()
"""Names of the modules that were in memory when the kernel began."""

pipe: Any = importlib.import_module("nbprod_in_pipe" if "nbprod_in_pipe" in sys.modules else "nbprod.kernels._in_pipe")


class PipeKernel(IPythonKernel):
    """ipykernel's kernel, served from a socket."""

    def start(self) -> None:
        """Nothing is to be registered: `serve` reads the requests."""
        if self.shell:
            self.shell.exit_now = False
        self._execute_sleep = 0.0  # there is no race with a publishing thread
        self.io_loop = kernelbase.ioloop.IOLoop.current()  # type: ignore[attr-defined]
        self._shell_only = ThreadOf(threading.main_thread())

    def _publish_status(self, status: str, channel: str, parent: Any = None) -> None:
        if status == "idle":
            super()._publish_status(status, channel, parent)

    def _publish_execute_input(self, code: str, parent: Any, execution_count: int) -> None:
        super()._publish_execute_input("", parent, execution_count)  # the driver knows its code

    def _abort_queues(self, subshell_id: Any = None) -> None:
        """The driver sends the next request when it has the answer to the last."""

    async def handle(self, kind: str, parent: dict[str, Any]) -> None:
        """Do what one request asks for."""
        self.set_parent([], parent, channel="shell")
        handler = self.shell_handlers.get(kind)
        try:
            self.pre_handler_hook()
            if handler is not None:
                await handler("shell", [], parent)
        except Exception:
            self.log.error("Exception in message handler:", exc_info=True)  # noqa: G201
        except KeyboardInterrupt:
            self.log.error("KeyboardInterrupt caught in kernel.")
        finally:
            self.post_handler_hook()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        self._publish_status("idle", "shell")

    async def do_execute(self, *args: Any, **kwargs: Any) -> Any:
        # ipykernel asks whether this is the main shell's thread, of an object that only its own start makes.
        self.shell_channel_thread = self._shell_only
        try:
            return await super().do_execute(*args, **kwargs)
        finally:
            self.shell_channel_thread = None


class ThreadOf:
    """Says which thread the main shell runs in."""

    def __init__(self, thread: threading.Thread) -> None:
        self.parent_thread = thread


class PipeApp(IPKernelApp):
    """ipykernel's application without its sockets."""

    kernel_class: Any = Type(PipeKernel, klass="ipykernel.kernelbase.Kernel").tag(config=True)
    wire: Any = None

    def init_io(self) -> None:
        self.outstream_class = "nbprod_in_pipe.PipeStream"
        super().init_io()

    def init_connection_file(self) -> None:
        """There is none."""

    def init_poller(self) -> None:
        """The keeper watches over us."""

    def init_sockets(self) -> None:
        self.session = pipe.PipeSession(parent=self, wire=self.wire)
        self.iopub_thread = pipe.Publisher(self.session)
        self.iopub_socket = self.iopub_thread.background_socket
        self.configure_tornado_logger()

    def init_heartbeat(self) -> None:
        """There is none."""

    def write_connection_file(self, **kwargs: Any) -> None:
        """There is none."""

    def log_connection_info(self) -> None:
        """There is none."""

    def init_kernel(self) -> None:
        kernel = self.kernel_class.instance(
            parent=self,
            session=self.session,
            iopub_thread=self.iopub_thread,
            iopub_socket=self.iopub_socket,
            log=self.log,
            profile_dir=self.profile_dir,
            user_ns=self.user_ns,
        )
        self.kernel = kernel
        self.displayhook.get_execution_count = lambda: kernel.execution_count

    def close(self) -> None:
        """Nothing is open."""


class Requests:
    """The driver's requests, as they come.

    Args:
        channel: the stream socket; it stays blocking for those who send.
        loop: the running event loop.
    """

    def __init__(self, channel: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        self.channel = channel
        self.loop = loop
        self.buffer = bytearray()
        self.queue: asyncio.Queue[tuple[list[str], bytes] | None] = asyncio.Queue()
        loop.add_reader(channel.fileno(), self.read)

    def read(self) -> None:
        try:
            data = self.channel.recv(1 << 20, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.loop.remove_reader(self.channel.fileno())
            self.queue.put_nowait(None)
            return
        self.buffer += data
        while len(self.buffer) >= pipe.LENGTHS.size:
            head, body = pipe.LENGTHS.unpack_from(self.buffer)
            end = pipe.LENGTHS.size + head + body
            if len(self.buffer) < end:
                return
            frame = bytes(self.buffer[pipe.LENGTHS.size : end])
            del self.buffer[:end]
            self.queue.put_nowait((json.loads(frame[:head]), frame[head:]))


async def serve(kernel: Any, wire: Any, sources: Any) -> None:
    """Answer requests until the driver asks to shut down or is gone."""
    kernel.start()
    requests = Requests(wire.channel, asyncio.get_running_loop())
    wire.send(["shell", "ready", "", ""], json.dumps(kernel.language_info).encode())
    while True:
        frame = await requests.queue.get()
        if frame is None:
            return
        (kind, message_id), body = frame
        content = json.loads(body)
        if kind == "shutdown_request":
            if kernel.shell:
                kernel.shell.exit_now = True
            return
        if kind == "prepare":
            prepare(content, sources)
            continue
        header = {"msg_id": message_id, "msg_type": kind, "username": "nbprod", "session": "", "version": "5.4"}
        parent = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "buffers": []}
        await kernel.handle(kind, parent)


def reseed() -> None:
    """Give the process random numbers of its own; Python's own generator sees to itself."""
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()


def clear_modules() -> None:
    """Let go of what the notebook's own modules hold, as the interpreter does at its end; not of what was in memory."""
    for name, module in reversed(list(sys.modules.items())):
        if name not in BEFORE and name != "__main__" and hasattr(module, "__file__"):
            for key in [key for key in vars(module) if not key.startswith("__")]:
                try:
                    setattr(module, key, None)
                except Exception:  # noqa: BLE001, S110 - a module of another kind
                    pass


def leave(code: int) -> None:
    """End the process as the interpreter would, but for taking apart what is the same in every process.

    Threads are waited for, exit handlers run (the shell's own clears the user's names), and every file that is still
    open gets what was written to it.
    """
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        clear_modules()
        gc.collect()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for thing in gc.get_objects():  # without what was there before the fork: it is frozen
            if isinstance(thing, io.IOBase) and not isinstance(thing, OutStream):
                try:
                    if not thing.closed and thing.writable():
                        thing.flush()
                except Exception:  # noqa: BLE001, S110 - a broken stream, or half of one
                    pass
        ctypes.CDLL(None).fflush(None)  # what C has written
    finally:
        os._exit(code)


def prepare(content: Any, sources: Any) -> None:
    """Run our own code before the user's, each group of files in a namespace of its own; a failure changes nothing."""
    for group in content["groups"]:
        try:
            arguments = tuple(map(os.fsencode, group["arguments"]))
            space = {"__name__": "nbprod_in_kernel", "ARGUMENTS": arguments}
            for name in group["files"]:
                exec(sources[name], space)
        except Exception:  # noqa: BLE001, S110 - stock behaviour stays as it is
            pass


def begin(argv: list[str]) -> Any:
    """Go through ipykernel's start, which needs nobody to talk to.

    Args:
        argv: the command line as an ordinary kernel would have it.
    """
    from ipykernel import debugger  # noqa: PLC0415 - it looks for debuggers, loudly

    sys.argv = argv
    debugger._is_debugpy_available = False  # nobody could attach: there is no socket to do so
    PipeApp.wire = pipe.Wire()
    app: Any = PipeApp.instance()
    app.initialize(argv[1:])
    return app


def is_plain(app: Any) -> bool:
    """Return whether the start was everybody's: nothing of the user's own was loaded or run."""
    folder = app.profile_dir.startup_dir
    with os.scandir(folder) as entries:
        code = [entry.name for entry in entries if entry.name.endswith((".py", ".ipy"))]
    return not (code or app.loaded_config_files or app.exec_files or app.exec_lines or app.extensions)


def told_its_run(app: Any, log: int) -> None:
    """Know what is known only now, in the new working directory.

    Args:
        app: the application.
        log: descriptor of the file for what the process itself writes.
    """
    for stream in (sys.stdout, sys.stderr):
        os.dup2(log, stream._original_stdstream_copy)  # type: ignore[union-attr]
    os.close(log)
    shell = app.kernel.shell
    shell.starting_dir = os.getcwd()
    shell.history_manager.dir_hist[:] = [type(each)(os.getcwd()) for each in shell.history_manager.dir_hist]


def serve_run(app: Any, channel: socket.socket, side: socket.socket, sources: Any) -> None:
    """Be the kernel of one run. Does not return.

    Args:
        app: the application, started.
        channel: the stream socket to the driver.
        side: the packet socket for forked processes.
        sources: code objects of ours, by file name, that the driver may have run before the first cell.
    """
    reseed()
    BEFORE.update(sys.modules)
    app.wire.channel, app.wire.side = channel, side
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(serve(app.kernel, app.wire, sources))
    except RuntimeError:
        if not (app.kernel.shell and app.kernel.shell.exit_now):  # `exit()` stops the loop
            raise
    leave(0)


def run(channel: socket.socket, side: socket.socket, argv: list[str], sources: Any) -> None:
    """Be the kernel of one run from the start. Does not return."""
    serve_run(begin(argv), channel, side, sources)


def run_application(argv: list[str]) -> None:
    """Be an ordinary kernel, as `python -m ipykernel_launcher` is, for any Jupyter client. Does not return.

    Args:
        argv: the launcher's command line, with the connection file.
    """
    launcher = importlib.util.find_spec("ipykernel_launcher")
    sys.argv = [(launcher and launcher.origin) or argv[0], *argv[1:]]
    reseed()
    try:
        # 1: no parent to watch. It would read JPY_PARENT_PID when it is imported, which was in the server.
        IPKernelApp.launch_instance(argv[1:], parent_handle=1)
    except SystemExit as end:
        leave(end.code if isinstance(end.code, int) else bool(end.code))
    leave(0)


def warm_up() -> None:
    """Import what a kernel imports while it starts and runs its first cells."""
    for name in (
        "IPython.core.completer",
        "IPython.core.debugger",
        "IPython.core.magics.execution",
        "IPython.core.pylabtools",
        "comm.base_comm",
        "ipykernel.debugger",
        "pdb",
        "pygments.formatters.terminal256",
        "pygments.lexers.python",
        "stack_data",
        "psutil",
    ):
        try:
            importlib.import_module(name)
        except Exception:  # noqa: BLE001, S110 - then the kernel does as well, or it never needs it
            pass
