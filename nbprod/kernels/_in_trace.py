"""Writes down what a notebook touches, through Python's audit hook; runs inside the user's kernel.

nbprod never imports this file: its text is sent to the kernel (`nbprod.kernels.bootstrap`). Standard library only,
syntax of Python 3.8, it never prints and never raises, and any failure leaves stock behaviour as it was.

Each new fact is one JSON line, written at once with one `write`: what a killed kernel had touched is known. Children
of a fork go on writing to the same file; what is executed in a process's place is not observed. The runner reads the
lines in `nbprod.runner.touched`, where their forms are described. It is observation, not a sandbox: see
docs/decisions/0015.
"""

from __future__ import annotations

import hashlib
import json.encoder
import os
import posix
import stat as modes
import sys
import threading
from collections.abc import Callable
from typing import Any

quote: Callable[[str], str] = json.encoder.encode_basestring_ascii

LIMIT = 50_000
"""Facts that are kept; beyond, the trace says that it is not complete."""
NAMES = 100_000
"""Names in a folder above which no digest is taken."""

LIBRARIES = {
    "files": (
        "pyarrow duckdb polars h5py netCDF4 tables lxml cv2 rasterio fiona pyogrio osgeo pyreadstat apsw pysam "
        "deltalake lance xgboost lightgbm catboost torch tensorflow soundfile rpy2"
    ),
    "hosts": (
        "psycopg psycopg2 MySQLdb mysql pyodbc oracledb cx_Oracle pymssql ibm_db turbodbc connectorx "
        "adbc_driver_manager grpc pycurl confluent_kafka"
    ),
}
"""Libraries that open files, or connect to hosts, past Python."""
REACH = {name: reach for reach, names in LIBRARIES.items() for name in names.split()}

# What looks for a file in these is whoever called them.
PLUMBING = (
    "/glob.py",
    "<nbprod>",
    "<frozen genericpath>",
    "<frozen posixpath>",
    "<frozen os>",
    "/genericpath.py",
    "/posixpath.py",
    "/os.py",
    "/pathlib.py",
    "/pathlib/__init__.py",
    "/pathlib/_abc.py",
    "/pathlib/_local.py",
    "/pathlib/_os.py",
)
# These look for code, not for data: imports, tracebacks, and what shows them.
LOOKERS = (
    "<frozen importlib",
    "<frozen zipimport",
    "/importlib/metadata/",
    "/importlib_metadata/",
    "/pkg_resources/",
    "/pkgutil.py",
    "/entrypoints.py",
    "/linecache.py",
    "/inspect.py",
    "/IPython/",
    "/ipykernel/",
    "/stack_data/",
    "/executing/",
    "/traitlets/",
    "/debugpy/",
)


class Tracer:
    """Hears of events and writes down what is new in them.

    Args:
        file: where to.
        places: knows of which paths to tell.
    """

    def __init__(self, file: str, places: Any) -> None:
        self.file = file
        self.descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.place = self.identity(posix.fstat(self.descriptor))[:2]
        self.pid = os.getpid()
        self.cwd: str | None = None
        self.known: set[Any] = set()
        self.facts: set[Any] = set()
        self.full = False
        self.listing: set[int] = set()
        self.places = places
        self.handlers: dict[str, Callable[..., None]] = {
            "open": self.opened,
            "os.listdir": self.listed,
            "os.scandir": self.listed,
            "import": self.imported,
            "sqlite3.connect": self.database,
            "os.mkdir": self.made_folder,
            "os.rename": self.renamed,
            "os.link": self.renamed,
            "os.symlink": self.renamed,
            "os.truncate": self.truncated,
            "os.chdir": self.moved,
            "os.fchdir": self.moved,
            "socket.connect": self.connected,
            "socket.sendto": self.connected,
            "socket.getaddrinfo": self.resolved,
            "socket.gethostbyname": self.resolved,
            "subprocess.Popen": self.spawned,
            "os.posix_spawn": self.replaced,
            "os.exec": self.replaced,
            "os.system": self.shelled,
            "os.fork": self.forked,
            "os.forkpty": self.forked,
        }

    # --- writing -------------------------------------------------------------------------------

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        handler = self.handlers.get(event)
        if handler is None or self.full:
            return
        try:
            handler(*args)
        except Exception as error:  # noqa: BLE001 - the notebook goes on, and the trace tells that it is not complete
            self.lose(error)

    def lose(self, error: Exception) -> None:
        try:
            self.fact(("lost", type(error).__name__), '"lost","why":%s' % quote(type(error).__name__))
        except Exception:  # noqa: BLE001, S110 - nothing can be written
            pass

    def fact(self, key: Any, text: str) -> None:
        """Write a line unless the same was written before; the key is the fact without what may change."""
        if key in self.facts:
            return
        if len(self.facts) >= LIMIT:
            self.full = True
            text = '"full"'
        if not self.still_ours():
            self.reopen()
        os.write(self.descriptor, ('{"e":%s,"pid":%d}\n' % (text, self.pid)).encode("ascii"))
        self.facts.add(key)

    def still_ours(self) -> bool:
        """Return whether our descriptor is: who closes all descriptors opens other files under their numbers."""
        try:
            return self.identity(posix.fstat(self.descriptor))[:2] == self.place
        except OSError:
            return False

    def reopen(self) -> None:
        self.descriptor = posix.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self.place = self.identity(posix.fstat(self.descriptor))[:2]

    def child(self) -> None:
        self.pid = os.getpid()

    # --- paths ---------------------------------------------------------------------------------

    @staticmethod
    def identity(status: os.stat_result) -> tuple[int, int, int, int]:
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

    def absolute(self, path: Any) -> str:
        text: str = path if type(path) is str else os.fsdecode(path)
        if text[:1] != "/":
            text = "%s/%s" % (self.folder(), text)
        return os.path.normpath(text) if "/." in text or "//" in text else text

    def folder(self) -> str:
        if self.cwd is None:
            self.cwd = os.getcwd()
        return self.cwd

    def look(self, path: str) -> os.stat_result | None:
        try:
            return posix.stat(path)
        except (OSError, ValueError):
            return None

    # --- files ---------------------------------------------------------------------------------

    def opened(self, path: Any, mode: Any, flags: int) -> None:
        if type(path) is int or path is None:
            return
        key = (path, flags) if type(path) is str and path[:1] == "/" else (self.folder(), path, flags)
        if key in self.known:
            return
        told = self.absolute(path)
        if self.places.wanted(told):
            if "/__pycache__/" in told:
                self.compiled(told, flags)
            else:
                self.file_opened(told, flags)
        if len(self.known) >= LIMIT:
            self.known.clear()
        self.known.add(key)

    def file_opened(self, path: str, flags: int) -> None:
        access = flags & os.O_ACCMODE
        status = self.look(path)
        if status is None:
            if access == os.O_RDONLY and not flags & os.O_CREAT:
                self.absent(path)  # whoever asks: IPython hands cells an `open` of its own
            else:
                self.touched("made", path, None)
        elif modes.S_ISDIR(status.st_mode):
            return  # for a descriptor, or for a file without a name
        elif access == os.O_RDONLY:
            self.touched("module" if path.endswith((".py", ".pyc")) and self.importing() else "read", path, status)
        elif flags & os.O_TRUNC:
            self.touched("made", path, status)
        else:
            if access == os.O_RDWR:
                self.touched("read", path, status)
            self.touched("changed", path, status)

    def compiled(self, path: str, flags: int) -> None:
        """Take a module's compiled form for its source; nobody cares for what is written there."""
        if flags & os.O_ACCMODE != os.O_RDONLY:
            return
        folder, _, name = path.rpartition("/__pycache__/")
        source = "%s/%s.py" % (folder, name.split(".")[0])
        status = self.look(source)
        if status is not None:
            self.touched("module", source, status)
        else:
            status = self.look(path)
            if status is not None:
                self.touched("module", path, status)

    def touched(self, kind: str, path: str, status: os.stat_result | None) -> None:
        text = "null"
        if status is not None and modes.S_ISREG(status.st_mode):
            text = "[%d,%d,%d,%d]" % self.identity(status)
        elif status is not None:
            text = '"special"'
        self.fact((kind, path), '"%s","path":%s,"id":%s' % (kind, quote(path), text))

    def missed(self, path: str) -> None:
        if not self.looks_for_code():
            self.absent(path)

    def absent(self, path: str) -> None:
        self.fact(("missing", path), '"missing","path":%s' % quote(path))

    def listed(self, path: Any) -> None:
        if threading.get_ident() in self.listing:
            return
        if type(path) is int:
            path = os.readlink("/proc/self/fd/%d" % path)
        told = self.absolute("." if path is None else path)
        told = told.rstrip("/") or "/"
        if ("list", told) in self.facts or not self.places.wanted(told + "/") or self.looks_for_code():
            return
        status = self.look(told)
        if status is None:
            self.missed(told)
        elif modes.S_ISDIR(status.st_mode):
            self.fact(("list", told), '"list","path":%s,"names":%s' % (quote(told), self.names(told)))

    def names(self, path: str) -> str:
        """Return the digest of a folder's names as JSON: of the sorted names' bytes, each ended by NUL."""
        self.listing.add(threading.get_ident())
        try:
            found = sorted(name for name in os.listdir(os.fsencode(path)) if name != b"__pycache__")
        except OSError:
            return "null"
        finally:
            self.listing.discard(threading.get_ident())
        if len(found) > NAMES:
            return "null"
        return '"%s"' % hashlib.sha256(b"".join(name + b"\0" for name in found)).hexdigest()

    def made_folder(self, path: Any, *_: Any) -> None:
        told = self.absolute(path)
        if self.places.wanted(told + "/") and self.look(told) is None:
            self.touched("made", told, None)

    def renamed(self, _: Any, target: Any, *__: Any) -> None:
        told = self.absolute(target)
        if self.places.wanted(told) and "/__pycache__/" not in told:
            self.touched("made", told, self.look(told))

    def truncated(self, path: Any, *_: Any) -> None:
        if type(path) is not int:
            told = self.absolute(path)
            if self.places.wanted(told):
                self.touched("changed", told, self.look(told))

    def database(self, name: Any, *_: Any) -> None:
        """SQLite opens its files past Python."""
        text = os.fsdecode(name)
        if text.startswith("file:"):
            from urllib.parse import unquote, urlsplit  # noqa: PLC0415 - rarely needed

            parts = urlsplit(text)
            text = "" if "mode=memory" in parts.query else unquote(parts.path)
        if text and text != ":memory:":
            told = self.absolute(text)
            if self.places.wanted(told):
                status = self.look(told)
                self.touched("made" if status is None else "database", told, status)

    def moved(self, *_: Any) -> None:
        self.cwd = None

    # --- modules -------------------------------------------------------------------------------

    def imported(self, name: Any, filename: Any, *_: Any) -> None:
        package = name.partition(".")[0]
        if package in REACH:
            self.fact(("native", package), '"native","name":"%s","reach":"%s"' % (package, REACH[package]))
        if filename is not None:  # an extension module, which the system's loader opens
            told = self.absolute(filename)
            if self.places.wanted(told):
                self.touched("module", told, self.look(told))

    def caller(self) -> str:
        """Return the file of the code that asked, beyond ours and that which asks for others."""
        frame: Any = sys._getframe(1)
        while frame is not None:
            file: str = frame.f_code.co_filename
            if not file.endswith(PLUMBING):
                return file
            frame = frame.f_back
        return ""

    def looks_for_code(self) -> bool:
        file = self.caller()
        return any(part in file for part in LOOKERS)

    def importing(self) -> bool:
        return self.caller().startswith("<frozen importlib")

    # --- hosts and processes -------------------------------------------------------------------

    def connected(self, _: Any, address: Any) -> None:
        if isinstance(address, tuple) and len(address) > 1:  # a text is a socket in the file system
            self.contact(address[0], address[1])

    def resolved(self, host: Any, port: Any = None, *_: Any) -> None:
        if host:
            self.contact(host, port)

    def contact(self, host: Any, port: Any) -> None:
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
        number = int(port) if isinstance(port, int) or (isinstance(port, str) and port.isdigit()) else None
        text = "null" if number is None else "%d" % number
        self.fact(("host", name, number), '"host","host":%s,"port":%s' % (quote(name), text))

    def process(self, how: str, program: Any) -> None:
        text = os.fsdecode(program)
        self.fact(("process", how, text), '"process","how":"%s","program":%s' % (how, quote(text)))

    def spawned(self, executable: Any, args: Any, *_: Any) -> None:
        words = [args] if isinstance(args, (str, bytes)) or hasattr(args, "__fspath__") else list(args)
        if len(words) > 2 and os.fsdecode(words[0]).endswith("sh") and os.fsdecode(words[1]) == "-c":  # noqa: PLR2004
            self.shelled(words[2])
        else:
            self.process("subprocess", words[0] if words else executable)

    def replaced(self, path: Any, args: Any, *_: Any) -> None:
        self.spawned(path, [path, *list(args)[1:]])

    def shelled(self, command: Any) -> None:
        words = os.fsdecode(command).split()
        self.process("shell", words[0] if words else "")

    def forked(self, *_: Any) -> None:
        self.fact(("fork",), '"fork"')
