"""Mends what makes ipykernel lose output, wait for nobody, or print slowly; runs inside the user's kernel.

nbprod never imports this file: its text is sent to the kernel (`nbprod.kernels.bootstrap`). Standard library only,
syntax of Python 3.8, and any failure leaves stock behaviour as it was. Written against ipykernel 7.4.
"""

from __future__ import annotations

import atexit
import codecs
import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any


def keep_all(kernel: Any) -> None:
    """Have the kernel keep every output until it is read.

    ZeroMQ drops what a publisher sends beyond 1,000 waiting messages: outputs, scraps and `idle` of a chatty cell,
    without a word, when the runner does not get to read for a second. Its own thread must set the socket's option.
    """
    thread = kernel.iopub_thread
    thread.schedule(lambda: setattr(thread.socket, "sndhwm", 0))


def count_the_living(kernel: Any) -> None:
    """Have the kernel wait at its shutdown for children that live.

    It waits up to 14 s for its children to be gone, and counts those that have ended but that the notebook never
    waited for.
    """
    children = kernel._process_children
    kernel._process_children = lambda: [child for child in children() if child.status() != "zombie"]


def end_in_order(kernel: Any) -> None:
    """Publish what exit handlers print, and have the control channel's thread end before the one that publishes.

    Nobody else flushes the streams before that thread stops. And the first flushes them once more after it has answered
    the request to shut down, through the second. Should that have ended just then, it waits 10 s for nobody, and the
    process with it.
    """
    control = kernel.control_thread

    def wait() -> None:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
            if control.is_alive() and control is not threading.current_thread():
                control.stop()
                control.join(1.0)

    atexit.register(wait)  # registered last, so that it runs before what ipykernel has registered


PIPE = 1 << 16
"""Bytes that a pipe holds (pipe(7)): a read of as many takes all that is there, and cuts nothing that was written."""


def hear_whole(stream: Any) -> None:
    """Have what is written past Python, by C code and by programs, come in the pieces in which it was written.

    ipykernel reads 1,000 bytes at a time, and decodes each by itself: what Python prints falls between two of them, and
    a character that is cut in two becomes two signs for "unreadable". A secret with either inside is one no more.
    """
    watcher = stream.watch_fd_thread
    if not (stream._should_watch and watcher.is_alive()):
        return
    stream._should_watch = False
    os.write(stream._original_stdstream_fd, b"\0")  # wakes it, as `OutStream.close` does
    watcher.join(10.0)
    stream._should_watch = True
    if not watcher.is_alive():
        stream.watch_fd_thread = threading.Thread(target=listen, args=(stream,), daemon=True)
        stream.watch_fd_thread.start()


def listen(stream: Any) -> None:
    """Do what `OutStream._watch_pipe_fd` does."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    try:
        while True:
            data = os.read(stream._fid, PIPE)
            if not (data and stream._should_watch):
                return
            text = decoder.decode(data)
            if text:
                stream.write(text)
            os.write(stream._original_stdstream_copy, data)
    except Exception:  # noqa: BLE001 - shown when the stream is closed
        stream._exc = sys.exc_info()


class QuickTee:
    """Has cells print with less to do for each text, and all the same effects; stands in for the shell's `_tee`.

    While a cell runs, IPython 9 wraps the streams' `write` to keep each text in its history of outputs; ipykernel's
    own `write` asks for the process's id each time (a forked child must send its text in another way) and builds a
    set of the request's header to find the buffer that the text belongs to. Here the two are one function: what may
    change between two texts is looked at, what may not is kept. Whatever is not a plain text on a plain stream goes
    the stock way.
    """

    def __init__(self, shell: Any) -> None:
        from IPython.core.history import HistoryOutput  # noqa: PLC0415

        self.shell = shell
        self.stock = shell._tee
        self.entry: Callable[..., Any] = HistoryOutput
        self.forked = False
        os.register_at_fork(after_in_child=lambda: setattr(self, "forked", True))

    @contextlib.contextmanager
    def __call__(self, channel: str) -> Iterator[None]:
        stream = getattr(sys, channel)
        kind = type(stream)
        # Somebody else's stream or `write`, or a cell within a cell: all of them keep what they have.
        ours = (kind.__module__, kind.__name__) == ("ipykernel.iostream", "OutStream") or hasattr(kind, "nbprod")
        ours = ours and stream.write == kind.write.__get__(stream)
        with self.stock(channel):
            if ours:
                remember = self.memory("out_stream" if channel == "stdout" else "err_stream")
                stream.write = self.writer(stream, stream.write, remember)
            yield

    def memory(self, output_type: str) -> Callable[[str], None]:
        """Return what keeps a text in the history, as IPython's own wrapper does."""
        shell, count, outputs = self.shell, self.shell.execution_count, self.shell.history_manager.outputs

        def remember(data: str) -> None:
            if shell.display_pub.is_publishing or shell.displayhook.is_active or shell.showing_traceback:
                return
            kept = outputs[count]
            if not kept or kept[-1].output_type != output_type:
                kept.append(self.entry(output_type=output_type, bundle={"stream": []}))
            kept[-1].bundle["stream"].append(data)

        return remember

    def writer(self, stream: Any, stock: Callable[..., Any], remember: Callable[[str], None]) -> Callable[..., Any]:
        """Return a stream's `write`."""
        lock, parent_header = stream._buffer_lock, stream._parent_header
        known: tuple[Any, Any] = (None, None)

        def write(data: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal known
            header = parent_header.get(None)
            special = args or kwargs or type(data) is not str or header is None
            if special or self.forked or stream.echo is not None or stream.pub_thread is None:
                return stock(data, *args, **kwargs)
            if not data:
                return 0
            parent, key = known
            if header is not parent:
                key = frozenset(header.items())
                known = (header, key)
            with lock:
                stream._buffers[key].write(data)
            if not stream._flush_pending:
                stream._schedule_flush()
            remember(data)
            return len(data)

        return write


def print_quickly(shell: Any) -> None:
    """Have cells print through `QuickTee`."""
    shell._tee = QuickTee(shell)


def attempt(change: Callable[[Any], None], subject: Any) -> None:
    try:  # noqa: SIM105 - one name less in the kernel
        change(subject)
    except Exception:  # noqa: BLE001, S110 - another ipykernel than the one we know: leave it alone
        pass


def install() -> None:
    shell = sys.modules["IPython"].get_ipython()
    attempt(keep_all, shell.kernel)
    attempt(count_the_living, shell.kernel)
    attempt(end_in_order, shell.kernel)
    attempt(print_quickly, shell)
    attempt(hear_whole, sys.stdout)
    attempt(hear_whole, sys.stderr)


if __name__ == "nbprod_in_kernel":  # the name that the bootstrap runs it under
    install()
