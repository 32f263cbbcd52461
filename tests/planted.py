"""Secrets of many shapes, a notebook that lets them out in every way there is, and a search for what got through."""

from __future__ import annotations

import base64
import html
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, quote_plus

from tests.tally import counting

_LINES = [f"MIIEvQIBADANBgkqhkiG9w0BAQEF{number:02}AASCBKcwggSjAgEAAoIBAQ" for number in range(9)]
PEM = "\n".join(["-----BEGIN PRIVATE KEY-----", *_LINES])
SHAPES = {
    "TOKEN": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "ACCENTS": "pässwörd mit ünïcode ✓",
    "QUOTES": 'it\'s "quoted" and \\back\\slashed',
    "PEM": f"{PEM}\n-----END PRIVATE KEY-----\n",
    "URL": "postgresql://svc:p%40ss-w0rd@db.internal:5432/prod?sslmode=require&x=1",
    "JSON": '{"user": "svc", "key": "a/b+c==", "n": [1, 2]}',
    "NUMBER": "918273645546372819",
    "JWT": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzdmMifQ.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg",
    "BASE64": "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQ==",
    "SHORT_LINES": "ab1\ncd2\tef3\ngh4",
    "MARKUP": '<b>R&D\'s "own"</b>',
    "EMOJI": "🔑🔒 clé-🗝-end",
    "PERCENT": "100%25%s{}{0}%(x)s",
    "BACKSLASHES": "C:\\new\\table\\x41",
    "SHELL": "$(id) `whoami` && $HOME! ; #x",
    "AWS": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzPLANTED1",
    "ANSI": "\x1b[31mred-alert\x1b[0m",
    "PADDED": "   padded value   ",
    "REGEX": "^[a-z]+(.*?)\\d{3}$|x",
    "LONG": "".join(f"{n * 7919 % 1000003:06x}-" for n in range(60)),
}
CONTROL = 'nobody-registered: "this" & that/ön'
"""Put out in the same ways, and registered nowhere: the search must find it."""

WIDE = 16
"""Signs of base64 that are searched for across the ends of lines as well."""

FIRST = """
import base64, gzip, html, json, logging, os, struct, subprocess, sys, time, traceback, warnings, zipfile, zlib
from urllib.parse import quote, quote_plus
import scrapbook as sb
from IPython.display import HTML, JSON, Markdown, display
values = {n: v for n, v in os.environ.items() if n.startswith("PLANTED_")}
token = values["PLANTED_TOKEN"]
def encoded(v):
    data = v.encode()
    yield from (v, repr(v), ascii(v), json.dumps(v), json.dumps({"inner": json.dumps(v)}), repr(data), data.hex())
    for lead in ("", "x", "yy", "user:"):
        yield base64.b64encode(lead.encode() + data).decode()
        yield base64.urlsafe_b64encode(lead.encode() + data + b"tail").decode()
        yield base64.encodebytes(b"=" * 50 + lead.encode() + data + b"tail" * 20).decode()
        yield repr(base64.encodebytes(b"=" * 50 + lead.encode() + data + b"tail" * 20))
    yield from (quote(v), quote(v, safe=""), quote_plus(v), html.escape(v), base64.encodebytes(data).decode())
for v in values.values():
    for text in encoded(v):
        print("<", text, ">")
"""
SPLIT = """
for v in values.values():
    for letter in v:
        sys.stdout.write(letter); sys.stdout.flush()
    print()
    half = len(v) // 2
    print(v[:half], end="", flush=True); time.sleep(0.002); print(v[half:], file=sys.stdout, flush=True)
    sys.stderr.write(v[:half]); sys.stderr.flush(); sys.stderr.write(v[half:] + "\\n")
    print(v[:half], end=""); display(half); print(v[half:])
print(token[:20], end="")
"""
OUTSIDE = """
print(token[20:])
# Python prints at the same moment; stock ipykernel reads what goes past it in pieces of 1,000 bytes, and cuts letters.
for name, v in values.items():
    subprocess.run(["printenv", name])
    data = v.encode(); half = len(data) // 2
    os.write(1, b"." * (1000 - half) + data); warnings.warn(v)
    os.write(2, b"." * (999 - half) + "\u00e9".encode() + data + b"\\n"); os.write(2, b"." * 999 + "\u00e9\\n".encode())
    logging.getLogger("some").error("failed with %s", v)
print(os.environ); print(dict(os.environ))
sys.stdout.flush(); sys.stderr.flush(); time.sleep(0.3)
subprocess.run(["env"]); time.sleep(0.3)  # more than 4,096 bytes: it writes them in several pieces
os.write(1, b"z" * 65530 + token.encode()); print("what is over 64 KiB comes later", file=sys.stderr)
"""
SHOWN = """
def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
def png(v):
    data = v.encode()
    return b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)) + b"".join([
        chunk(b"tEXt", b"Comment\\0" + data), chunk(b"zTXt", b"Packed\\0\\0" + zlib.compress(data)),
        chunk(b"iTXt", b"Text\\0\\1\\0\\0\\0" + zlib.compress(data)), chunk(b"eXIf", b"MM\\0*" + data),
    ]) + chunk(b"IDAT", zlib.compress(b"\\0\\0")) + chunk(b"IEND", b"")
def jpeg(v):
    def segment(mark, data):
        return bytes([255, mark]) + struct.pack(">H", len(data) + 2) + data
    told = segment(0xe1, b"Exif\\0\\0" + v.encode()) + segment(0xfe, v.encode())
    return b"\\xff\\xd8" + told + b"\\xff\\xda\\0\\x02x\\xff\\xd9"
def text_of(data):
    return base64.b64encode(data).decode()
for name, v in values.items():
    display(HTML(f"<p>{v}</p><pre>{html.escape(v)}</pre>"), JSON({"k": [v], v: 1}), Markdown(f"`{v}`"))
    display({"text/plain": "x"}, raw=True, metadata={"said": v, v: 1})
    for mime, data in (("image/png", png(v)), ("image/jpeg", jpeg(v)), ("application/pdf", b"%PDF-1.7" + v.encode())):
        display({mime: text_of(data), "text/plain": "an image"}, raw=True)
    display({"text/html": f"<img src='data:image/png;base64,{text_of(png(v))}'>"}, raw=True)
    display({"image/svg+xml": f"<svg><title>{html.escape(v)}</title><desc>{v}</desc></svg>"}, raw=True)
    handle = display("before", display_id=True); handle.update(v)
    sb.glue(f"plain {name}", v); sb.glue(f"deep {name}", {"a": [text_of(v.encode())], v: v})
    if v.isdigit():
        display(JSON({"n": int(v)}))
from ipykernel.comm import Comm
for v in values.values():
    Comm(target_name="planted", data={"v": v}).send({"v": v})
v
"""
FILES = """
for name, v in values.items():
    inside = base64.b64encode(b"k:" + v.encode())
    wide = v.encode("utf-32-le")  # as NumPy has it
    for place, data in (("plain", v.encode()), ("wide", wide), ("packed", zlib.compress(b"x")), ("b64", inside)):
        with open(os.path.join(output_dir, f"{place}-{name}.bin"), "wb") as f:
            f.write(b"." * 3000 + data)
    with gzip.open(os.path.join(output_dir, f"{name}.csv.gz"), "wt") as f:
        f.write("a,b\\n" + v)
    with zipfile.ZipFile(os.path.join(output_dir, f"{name}.npz"), "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("member", v)
    if "/" not in v and len(v) < 80:
        open(os.path.join(output_dir, v), "w").close()
    try:
        open(os.path.join("no folder", v[:50]))
    except OSError:
        traceback.print_exc()
open(os.path.join(output_dir, "clean.txt"), "w").write("clean")
"""
RAISED = """
def fails(v):
    try:
        raise KeyError(v)
    except KeyError:
        raise ValueError(f"cannot connect with {v!r} or {v}")
for v in values.values():
    try:
        fails(v)
    except ValueError:
        get_ipython().showtraceback(); traceback.print_exc()
raise ExceptionGroup("all of them", [RuntimeError(v) for v in values.values()])
"""
CELLS = (FIRST, SPLIT, OUTSIDE, SHOWN, FILES, RAISED)


def registered() -> dict[str, str]:
    """Return the secrets by the kernel's variables."""
    return {f"PLANTED_{name}": value for name, value in SHAPES.items()}


def forms(value: str) -> dict[str, bytes]:
    """Return what is searched for, by what it is: written down here anew, and not taken from what masks."""
    data = value.encode()
    found = {
        "plain": value,
        "repr": repr(value)[1:-1],
        "ascii": ascii(value)[1:-1],
        "JSON": json.dumps(value)[1:-1],
        "JSON in UTF-8": json.dumps(value, ensure_ascii=False)[1:-1],
        "JSON twice": json.dumps(json.dumps(value))[3:-3],
        "bytes": repr(data)[2:-1],
        "hex": data.hex(),
        "URL": quote(value, safe=""),
        "URL with /": quote(value),
        "form": quote_plus(value),
        "HTML": html.escape(value),
        "base64 in lines": base64.encodebytes(data).decode().strip(),
    }
    if not value.isascii():
        found["upper hex"] = data.hex().upper()
    for name, encode in (("base64", base64.b64encode), ("URL-safe base64", base64.urlsafe_b64encode)):
        for lead in range(3):
            text = encode(b"." * lead + data).decode().rstrip("=")
            begin, end = (0, 2, 3)[lead], len(text) - (1 if (lead + len(data)) % 3 else 0)
            found[f"{name} behind {lead}"] = text[begin:end]
    return {what: text.encode() for what, text in found.items()}


def hits(places: Mapping[str, bytes], values: Mapping[str, str]) -> list[str]:
    """Return where which value stands in which form."""
    sought = [(name, what, form) for name, value in values.items() for what, form in forms(value).items()]
    joined = {place: data.replace(b"\\n", b"").replace(b"\n", b"") for place, data in places.items()}
    return [
        f"{name}, {what}: {place}"
        for place, data in places.items()
        for name, what, form in sought
        if form in data or ("base64 behind" in what and len(form) >= WIDE and form in joined[place])
    ]


def nowhere(places: Mapping[str, bytes], what: str) -> None:
    """Hold that no secret stands in any of these places in any form; count the secrets."""
    found = hits(places, registered())
    with counting(f"planted secrets, each sought in {len(forms('x'))} forms in {what}", len(SHAPES)) as count:
        for name in registered():
            count.add("found" if any(line.startswith(f"{name}, ") for line in found) else "not found")
        assert found == []


def files_below(*folders: Path) -> dict[str, bytes]:
    """Return all files below some folders, and their names as if they were one more."""
    found = {str(path): path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}
    names = "\n".join(str(path) for folder in folders for path in folder.rglob("*"))
    return {**found, "names of files": names.encode("utf-8", "surrogateescape")}


@contextmanager
def processes_watched() -> Iterator[dict[str, bytes]]:
    """Collect, meanwhile, the command lines of all processes, and the environments of those that belong to no run."""
    seen: set[bytes] = set()
    told: dict[str, bytes] = {}
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.02):
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    try:
                        seen.add((entry / "cmdline").read_bytes())
                        variables = (entry / "environ").read_bytes()
                    except OSError:
                        continue
                    if b"NBPROD_RUN_ID=0000" in variables:  # a fork server's
                        seen.add(variables)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        done.set()
        thread.join()
        told["processes"] = b"\n".join(seen)
