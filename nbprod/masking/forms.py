"""The forms that a secret takes when programs write it down."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from itertools import product
from urllib.parse import quote, quote_plus

__all__ = ["bytes_forms", "forms"]

_LATIN = 256
_ESCAPE = re.compile("%[0-9A-F]{2}")
_SHORTEST_PART = 8  # of a form that is only a piece of the secret: a line, or base64 inside of longer base64
_UNICODE_ESCAPE = re.compile(r"(?<=\\u)[0-9a-f]{4}")
_SHY_IN_JSON = ("<>&'", "<>&", "<>/", "<>&'+`")
"""What is written as `\\u003c` and so on where JSON goes into a page: by Jinja, by Go, by Plotly, by .NET;
PHP and .NET write capital digits. Each may do so with the quotation mark, too."""
_IN_QUOTES = (("'", "''"), ('"', '""'), ("'", "'\"'\"'"), ("'", r"'\''"))
"""Quotes within quotes: in SQL, in CSV, in a shell's words as `shlex.quote` and as people write them."""


def forms(value: str) -> Iterator[str]:
    """Yield the forms in which a value stands in texts; one may come several times."""
    yield value
    data = value.encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(data).decode()
        for lead in range(3):
            # The characters that depend on nothing but the secret, when `lead` bytes (modulo 3) precede it.
            inner = encode(bytes(lead) + data)[-(-lead * 8 // 6) : (lead + len(data)) * 8 // 6].decode()
            if len(inner) >= _SHORTEST_PART:
                yield inner
    yield data.hex()
    yield data.hex().upper()
    # `/` and JavaScript's unreserved marks (encodeURIComponent) may stay as they are; digits may be of either case.
    for quoted in (quote(value), quote(value, safe=""), quote(value, safe="!'()*~"), quote_plus(value)):
        yield from (quoted, _ESCAPE.sub(lambda escape: escape[0].lower(), quoted))
    for escaped in _in_json(value):
        yield from (escaped, json.dumps(escaped, ensure_ascii=False)[1:-1])
    yield from (repr(value)[1:-1], ascii(value)[1:-1], repr(data)[2:-1])
    yield repr(value.encode("utf-16-be"))[2:-1].removeprefix("\\x00")  # what both orders of bytes have in common
    for escaped in _in_html(value):
        yield from (escaped, escaped.encode("ascii", "xmlcharrefreplace").decode())
    for sign, written in _IN_QUOTES:
        yield value.replace(sign, written)
    yield value.replace("\r\n", "\n").replace("\n", "\r\n")  # as a terminal has it
    lines = value.splitlines()
    if len(lines) > 1:
        yield from (line for line in map(str.strip, lines) if len(line) >= _SHORTEST_PART)


def _in_json(value: str) -> Iterator[str]:
    """Yield a value as it stands in JSON: what must be escaped is, and of what may be what common writers escape."""
    in_ascii, in_unicode = json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]
    for plain, signs, digits in product((in_ascii, in_unicode), ("", *_SHY_IN_JSON), ("04x", "04X")):
        escaped = plain
        for sign in signs:
            escaped = escaped.replace(sign, f"\\u{ord(sign):{digits}}")
        for slashed in (escaped, escaped.replace("/", "\\/")):
            for written in (slashed, slashed.replace('\\"', "\\u0022")):
                yield from (written, _UNICODE_ESCAPE.sub(lambda found: found[0].upper(), written))


def _in_html(value: str) -> Iterator[str]:
    """Yield a value as it stands in HTML and XML: they differ in the quotes."""
    yield from (value, html.escape(value, quote=False))
    escaped = html.escape(value)
    for single in ("&#x27;", "&#039;", "&apos;", "'"):  # Python; PHP; XML; an attribute in double quotes
        yield escaped.replace("&#x27;", single)
    yield escaped.replace("&quot;", "&#34;").replace("&#x27;", "&#39;")  # as markupsafe has it


def bytes_forms(value: str) -> Iterator[bytes]:
    """Yield the forms in which a value stands in files; one may come several times."""
    for form in forms(value):
        yield form.encode()
    yield from (value.encode("utf-16-le"), value.encode("utf-16-be"))
    if not value.isascii():
        yield value.encode("latin-1", "ignore") if all(ord(sign) < _LATIN for sign in value) else value.encode()
