"""The forms that a secret takes when programs write it down."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from html.entities import codepoint2name
from itertools import product
from urllib.parse import quote, quote_plus

__all__ = ["bytes_forms", "forms"]

_LATIN = 256
_BMP = 0xFFFF
_ESCAPE = re.compile("%[0-9A-F]{2}")
_SHORTEST_PART = 8  # of a form that is only a piece of the secret: a line, or base64 inside of longer base64
_UNICODE_ESCAPE = re.compile(r"(?<=\\u)[0-9a-f]{4}")
_IN_WORDS = re.compile(r"[ !\"$&'()*,;<>?\[\\\]^`{|}]"), re.compile(r"[\"$`\\]")
"""What bash puts a backslash before in words without quotes (`printf %q`), and within double ones (`declare -p`)."""
_IN_YAML = dict(zip('\0\a\b\t\n\v\f\r\x1b"\\\x85\xa0\u2028\u2029', '0abtnvfre"\\N_LP', strict=True))
"""Signs that YAML has escapes of their own for in double quotes (YAML 1.1, section 5.6)."""
_NAMED = {chr(code): f"&{name};" for code, name in codepoint2name.items()}
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
    yield from _in_literals(value)
    # Of UTF-16, what both orders of bytes have in common.
    yield from (written.removeprefix("\\x00") for written in _in_quotes(repr(b'"' + value.encode("utf-16-be"))[3:-1]))
    for escaped in _in_html(value):
        yield from (escaped, escaped.encode("ascii", "xmlcharrefreplace").decode())
        yield "".join(sign if sign.isascii() else _NAMED.get(sign, sign) for sign in escaped)
    for special in _IN_WORDS:
        yield special.sub(r"\\\g<0>", value)
    yield "".join(map(_yaml, value))
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


def _in_literals(value: str) -> Iterator[str]:
    """Yield a value as it stands in Python's literals of more than it, and in literals of texts with such ones in."""
    for literal in (repr(f'"{value}')[2:-1], ascii(f'"{value}')[2:-1]):
        for written in _in_quotes(literal):
            yield written
            yield from _in_quotes(_escaped(written))
    for ensure_ascii in (True, False):
        yield from _in_quotes(_escaped(json.dumps(value, ensure_ascii=ensure_ascii)[1:-1]))
    yield from _in_quotes(repr(b'"' + value.encode())[3:-1])


def _in_quotes(literal: str) -> Iterator[str]:
    """Yield what stands in single quotes, where those within it are escaped, and what stands in double ones."""
    yield from (literal, literal.replace("\\'", "'"))


def _escaped(literal: str) -> str:
    return literal.replace("\\", "\\\\").replace("'", "\\'")


def _yaml(sign: str) -> str:
    if sign in _IN_YAML:
        return f"\\{_IN_YAML[sign]}"
    if sign.isascii() and sign.isprintable():
        return sign
    code = ord(sign)
    return f"\\x{code:02X}" if code < _LATIN else f"\\u{code:04X}" if code <= _BMP else f"\\U{code:08X}"


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
    latin = all(ord(sign) < _LATIN for sign in value)
    for encoding in ("utf-16", "utf-32"):  # the latter is NumPy's
        little, big = value.encode(f"{encoding}-le"), value.encode(f"{encoding}-be")
        yield from (little.rstrip(b"\0"),) if latin else (little, big)  # which both orders have in common
    if latin:
        yield value.encode("latin-1")
