"""Parsers of notebooks, records, events, envelopes and lists of keys: whatever the bytes, a typed error or a value.

Each is given in a process of its own with 512 MB, as whoever sends such bytes would like it to die.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nbprod.attest.bundle import from_lines, to_lines
from nbprod.attest.dsse import IN_TOTO, Envelope, sign
from nbprod.attest.keyfile import KeyFile, Named, Role, Term
from nbprod.attest.keys import PrivateKey
from nbprod.digest import canonical
from nbprod.errors import NbprodError
from nbprod.ledger.events import from_json, to_json
from nbprod.ledger.values import read_json
from nbprod.notebook.notebook import Notebook
from nbprod.record.run_record import RunRecord
from nbprod.record.tombstone import Tombstone
from tests.notebooks import notebook_of
from tests.records import RUN, a_record
from tests.tally import counting
from tests.telling import started

SECONDS, MEGABYTES = 2.0, 512
"""Of the processor: others may be busy on it."""
Parser = Callable[[bytes], object]


def event(data: bytes) -> object:
    """Read an event as the ledger does; bytes that are no text, and JSON that is none, it sorts out before."""
    try:
        return from_json(read_json(data.decode()))
    except ValueError as error:
        raise NbprodError(str(error)) from error


PARSERS: dict[str, Parser] = {
    "notebook": Notebook.parse,
    "record": RunRecord.from_bytes,
    "event": event,
    "envelope": Envelope.from_bytes,
    "bundle": from_lines,
    "keys": KeyFile.open,
    "tombstone": Tombstone.from_bytes,
}


def good() -> dict[str, bytes]:
    key = PrivateKey.from_seed(bytes(32))
    name, record = key.public.id, a_record().to_bytes()
    listed = KeyFile(
        log="log",
        number=1,
        root=name,
        keys={name: Named(key=key.public, label="root")},
        terms={Role.RUNNER: (Term(key_id=name, first=0),)},
    )
    signed = sign(record, IN_TOTO, key)
    return {
        "notebook": json.dumps(notebook_of(("alpha = 1", ["parameters"]), "alpha + 1")).encode(),
        "record": record,
        "event": canonical(to_json(started(RUN))),
        "envelope": signed.to_bytes(),
        "bundle": to_lines([signed, signed]),
        "keys": listed.sign(key),
    }


NUMBERS = (b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"null", b"[]", b"{}", b'"\\ud800"', b"true", b"-1")
DEEP, BIG = 10_000, 200_000_000


def named(size: int) -> Iterator[tuple[str, bytes]]:
    """Yield what people who attack parsers try first; what is large, of that size."""
    yield "depth", b"[" * DEEP
    yield "depth, closed", b"[" * DEEP + b"]" * DEEP
    yield "depth of objects", b'{"a":' * DEEP + b"1" + b"}" * DEEP
    yield (
        "metadata of a depth",
        (b'{"nbformat":4,"nbformat_minor":5,"cells":[],"metadata":{"a":' + b"[" * 900 + b"]" * 900 + b"}}"),
    )
    yield "much of nothing", b" " * size
    yield "many brackets", b"[" * size
    yield "one text", b'{"cells":"%b"}' % (b"a" * size)
    yield "a key twice", b'{"nbformat":4,"nbformat":4,"cells":[],"metadata":{}}'
    yield "a byte order mark", b"\xef\xbb\xbf\xef\xbb\xbf{}"
    yield "no UTF-8", b'{"_type":"\xff\xfe"}'
    yield "an overlong form", b'{"_type":"\xc0\xaf"}'
    yield from ((f"{word[:9]!r} alone", word) for word in NUMBERS)
    yield "nothing", b""


def spoiled(data: bytes, dice: random.Random) -> bytes:
    """Spoil good bytes in one way of ten."""
    at, to = sorted(dice.randrange(len(data) + 1) for _ in range(2))
    words = data.split(b":")
    word = dice.randrange(1, len(words)) if len(words) > 1 else 0
    rest = words[word].partition(b",")
    begin, key = dice.randrange(len(data)), dice.choice(NUMBERS)
    return dice.choice([
        lambda: data[:at] + data[to:],
        lambda: data[:to] + data[at:],
        lambda: data[:begin] + bytes([dice.randrange(256)]) + data[begin + 1 :],
        lambda: data[:begin] + bytes([data[begin] ^ 1 << dice.randrange(8)]) + data[begin + 1 :],
        lambda: data[:at],
        lambda: data + data,
        lambda: b":".join([*words[:word], key + rest[1] + rest[2], *words[word + 1 :]]),
        lambda: b":".join([*words[:word], key, *words[word + 1 :]]),
        lambda: data.replace(b'{"', b'{"a":1,"a":2,"', 1),
        lambda: data[:at] + b"[" * dice.randrange(3000) + data[at:],
    ])()  # fmt: skip


def outcome(parse: Parser, data: bytes) -> str:
    try:
        parse(data)
    except NbprodError:
        return "refused"
    return "read"


def run_all(inputs: int, seed: int) -> Iterator[tuple[str, str, float]]:
    """Give every parser all of it; yield which, what came of it, and the seconds."""
    for what, data in named(BIG if inputs > DEEP else BIG // 20):
        for name, parse in PARSERS.items():
            begun = time.process_time()
            came = outcome(parse, data)
            yield f"{name}: {what}", came, time.process_time() - begun
        del data  # else it is there yet while the next is made
    dice = random.Random(seed)
    kept = list(good().items())
    for _ in range(inputs):
        name, data = dice.choice(kept)
        made = spoiled(data, dice)
        begun = time.process_time()
        try:
            came = outcome(PARSERS[name], made)
        except Exception as error:
            raise AssertionError(f"{name}: {type(error).__name__}: {error}: {made[:3000]!r}") from error
        yield name, came, time.process_time() - begun


@pytest.mark.parametrize("inputs", [3000, pytest.param(300_000, marks=pytest.mark.torture)])
def test_whatever_the_bytes_a_typed_error_in_time_and_memory(inputs: int) -> None:
    for name, data in good().items():
        assert outcome(PARSERS[name], data) == "read", name  # positive control
    with counting("spoiled notebooks, records, events, envelopes, lists of keys", inputs, seed=inputs) as count:
        command = [sys.executable, "-m", "tests.test_spoiled", str(inputs), str(inputs)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1500, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        told = json.loads(done.stdout)
        assert told["slowest"][1] < SECONDS, told
        assert told["peak"] < MEGABYTES, told
        assert told["read"] > 0
        count.add("refused", told["refused"])
        count.add("read", told["read"])


def main(inputs: str, seed: str) -> None:
    limit = 2 * MEGABYTES << 20  # of addresses; what is in use is asked for below
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    told = {"refused": 0, "read": 0}
    slowest = ("", 0.0)
    for what, came, seconds in run_all(int(inputs), int(seed)):
        told[came] += 1
        slowest = max(slowest, (what, seconds), key=lambda each: each[1])
    # Not getrusage: there a process begins with the peak of whoever started it.
    status = Path("/proc/self/status").read_text("ascii")
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    sys.stdout.write(json.dumps({**told, "slowest": slowest, "peak": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])
