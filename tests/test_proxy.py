"""The proxy's faults are what they say: seen by plain sockets, in front of a server that sends back what it gets."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.proxy import Fault, Proxy


def echo(listener: socket.socket) -> None:
    def answer(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(4096):
                    connection.sendall(data)
            except OSError:
                return

    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=echo, args=(listener,), daemon=True).start()
        with Proxy(listener.getsockname()[:2], delay=0.3, keep=3) as proxy:
            yield proxy
        listener.shutdown(socket.SHUT_RDWR)


def received(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := connection.recv(size - len(data))):
        data += more
    return data


def connect(proxy: Proxy) -> socket.socket:
    connection = socket.create_connection((proxy.host, proxy.port), timeout=5)
    connection.sendall(b"hello")
    assert received(connection, 5) == b"hello"
    return connection


def test_a_sound_link_passes_bytes(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        connection.sendall(b"x" * 50_000)
        assert received(connection, 50_000) == b"x" * 50_000
    assert proxy.connections == 1


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.RESET])
def test_connections_under_way_and_new_ones_end(proxy: Proxy, fault: Fault) -> None:
    def ask(connection: socket.socket) -> bytes:
        connection.sendall(b"hello")
        return connection.recv(5)

    with connect(proxy) as connection:
        proxy.switch(fault)
        if fault is Fault.RESET:
            with pytest.raises(ConnectionResetError):
                connection.recv(5)
        else:
            assert connection.recv(5) == b""
    new = socket.create_connection((proxy.host, proxy.port), timeout=5)
    with new as connection, contextlib.suppress(ConnectionError):
        assert ask(connection) == b""
    proxy.switch(Fault.NONE)
    connect(proxy).close()


def test_a_half_open_connection_is_silent_for_ever(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        proxy.switch(Fault.HALF_OPEN)
        connection.sendall(b"hello")
        proxy.switch(Fault.NONE)
        connection.sendall(b"hello")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(5)
        connect(proxy).close()


def test_a_reply_is_late_cut_or_garbled(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        proxy.switch(Fault.DELAY)
        begun = time.monotonic()
        connection.sendall(b"hello")
        assert received(connection, 5) == b"hello"
        assert time.monotonic() - begun >= 0.3
        proxy.switch(Fault.GARBLE)
        connection.sendall(b"hello")
        assert received(connection, 5) == b"helln"
        proxy.switch(Fault.TRUNCATE)
        connection.sendall(b"hello")
        assert received(connection, 5) == b"hel"
