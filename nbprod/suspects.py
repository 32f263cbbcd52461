"""What looks like a secret, by the rules of detect-secrets (Yelp); nothing is asked of any network."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Suspect", "suspects_in"]

# Public addresses are no secrets, and outputs are full of digests and ids, which is what high entropy finds.
_LEFT_OUT = frozenset({"IPPublicDetector", "Base64HighEntropyString", "HexHighEntropyString"})
_BY_NAME = "KeywordDetector"
_WINDOW = 4096
"""Characters of a line that are looked at at once; an output's JSON may be one line of megabytes."""
_OVERLAP = 256
_SHOWN, _LONG = 4, 16
_MASK = re.compile("«secret:[^»]*»")
_QUOTES = "\"'`"
_COMMAND = re.compile(r"\s*[%!]")
"""How lines begin that Jupyter gives to a shell, or reads as a magic: they are no Python."""
_BARE = 6
"""Characters from which on a word without quotes may be a password: `s3cr3t` is looked at, `utf-8` is not."""
_CLOSING = ",;)]}"
_ATTRIBUTE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
_HIDDEN = re.compile(r"\*\*|…|\.\.\.|://")
"""What a word has that was masked or cut by others, or that tells where a secret lies."""
_EXPORTED = re.compile(r"([A-Z0-9]+_)*(PASS|[A-Z_]*PASSWORD|PASSWD|PWD|SECRET|[A-Z_]*KEY)=")
_PLACEHOLDER = re.compile("pass|pwd|secret|key|change", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """What looks like a secret.

    Args:
        kind: which, in the library's words (`AWS Access Key`).
        line: where in the text, from 1.
        shown: its beginning and its length: enough to find it, and not to use it.
    """

    kind: str
    line: int
    shown: str


def suspects_in(text: str, *, code: bool = False) -> tuple[Suspect, ...]:
    """Return what in a text looks like a secret, each thing once; masks do not.

    Args:
        text: of any length.
        code: it is a program's source, where a word without quotes is a name, and no value. In any other text
            `DB_PASSWORD=word` is looked at as in a file of settings.
    """
    found: dict[tuple[str, str], Suspect] = {}
    for number, line in enumerate(_MASK.sub("", text).splitlines(), 1):
        quoted = code and not _COMMAND.match(line)
        for window in _windows(line):
            for kind, value in _matches(window, quoted=quoted):
                found.setdefault((kind, value), Suspect(kind=kind, line=number, shown=_shown(value)))
    return tuple(found.values())


def _windows(line: str) -> Iterator[str]:
    for start in range(0, max(len(line), 1), _WINDOW):
        yield line[max(0, start - _OVERLAP) : start + _WINDOW]


def _shown(value: str) -> str:
    begun = f"{value[:_SHOWN]}…, " if len(value) >= _LONG else ""
    return f"{begun}{len(value)} characters"


def _matches(line: str, *, quoted: bool) -> Iterator[tuple[str, str]]:
    from detect_secrets.filters import heuristic  # noqa: PLC0415 - a tenth of a second

    for rule in _rules():
        for value in _values(rule, line, quoted=quoted):
            no_value = not value or heuristic.is_not_alphanumeric_string(value)
            if not (no_value or heuristic.is_templated_secret(value) or heuristic.is_sequential_string(value)):
                yield str(rule.secret_type), str(value)


def _values(rule: Any, line: str, *, quoted: bool) -> Iterator[str]:
    if type(rule).__name__ == _BY_NAME:
        yield from _named(line, quoted=quoted)
        return
    patterns: tuple[re.Pattern[str], ...] = tuple(getattr(rule, "denylist", ()))
    if not any(pattern.groups for pattern in patterns):
        yield from rule.analyze_string(line)
        return
    for pattern in patterns:
        for match in pattern.finditer(line):
            # A group is the secret if no more than a quote or an `@` follows it; else a part of it, such as `ghp`.
            part = match.lastindex is not None and match.end(1) >= match.end() - 1
            yield match.group(1) if part else match.group()


def _named(line: str, *, quoted: bool) -> Iterator[str]:
    """Yield the values of variables that are called like a password."""
    from detect_secrets.plugins import keyword  # noqa: PLC0415
    from detect_secrets.util.filetype import FileType  # noqa: PLC0415

    for pattern, group in keyword.REGEX_BY_FILETYPE[FileType.PYTHON].items():
        yield from (match.group(group) for match in pattern.finditer(line))
    if quoted:
        return
    for pattern, group in keyword.REGEX_BY_FILETYPE[FileType.CONFIG].items():
        match = pattern.search(line)
        while match is not None:
            begins = match.start(group)
            if line[begins - 1] not in _QUOTES and (word := _bare(line[match.start() : begins], match.group(group))):
                yield word
            match = pattern.search(line, begins)  # the value goes on to a quote, and may have the next name in it


def _bare(name: str, value: str) -> str | None:
    """Return the word that a value without quotes begins with, if it may be a secret.

    The library takes the rest of the line, as in a file of settings. In outputs it is as often prose or code.

    Args:
        name: from the word that the library knows to the value: `PASSWORD=`, `password : `.
        value: up to a quote or the line's end.
    """
    from detect_secrets.filters import heuristic  # noqa: PLC0415

    word = re.split(r"[\s<]", value, maxsplit=1)[0].rstrip(_CLOSING)
    alone = word == value.rstrip(f"{_CLOSING} ")
    sign = name.rstrip()
    if sign.endswith(":") and not (sign != name and alone):
        return None  # prose, or an address
    if sign.endswith(("==", "!=")) or heuristic.is_indirect_reference(f"={word})") or _ATTRIBUTE.fullmatch(word):
        return None  # code
    if _HIDDEN.search(word) or heuristic.is_potential_uuid(word) or heuristic.is_likely_id_string(word, name + word):
        return None
    # Letters alone may be a password where a variable of the environment is shown, and nothing else.
    exported = alone and _EXPORTED.fullmatch(name) and not word.isupper() and not _PLACEHOLDER.search(word)
    return word if len(word) >= _BARE and (exported or any(map(str.isdigit, word))) else None


@functools.lru_cache(maxsize=1)
def _rules() -> tuple[Any, ...]:
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class  # noqa: PLC0415

    classes: Any = get_mapping_from_secret_type_to_class().values()
    return tuple(kind() for kind in classes if kind.__name__ not in _LEFT_OUT)
