"""Models in `.skops` files by their parameters, read from `schema.json`: nothing of a file is loaded or run (law 10).

A file that skops wrote (`skops.io`, protocols up to 4) names every object by its address in memory, arrays' members
too, and its zip tells when it was written. Two files of the same model therefore never have the same bytes.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, BinaryIO

from nbprod.diff.archives import Member, compare_members, members_of
from nbprod.diff.content import Content, TooMuchError
from nbprod.diff.outcome import Outcome
from nbprod.diff.trees import Leaf, changes
from nbprod.digest import Json

__all__ = ["compare_skops"]

SKOPS = "skops without addresses and times"
_SCHEMA = "schema.json"
_MOST_SCHEMA = 64 << 20
_SHOWN = 30
_ARRAYS = 5
_MOST_CHANGES = 10_000
_HASH = ", sha256 "
_ID = "__id__"
_CLASS, _MODULE, _LOADER = "__class__", "__module__", "__loader__"
_PLAIN = "JsonNode"


def compare_skops(before: BinaryIO, after: BinaryIO) -> Content:
    """Compare two `.skops` files: classes, parameters, what was learnt, and which objects are the same one.

    Which numbers and texts happen to be one object in memory is left out: they cannot be changed.
    """
    try:
        models = _read(before), _read(after)
        trees = [_Renumbered(members).tree(schema) for schema, members in models]
        spare = [_loose(*model) for model in models]
        told = [*compare_members(*spare)]
        if trees[0] == trees[1] and _typed(trees[0]) == _typed(trees[1]) and not told:
            return Content(outcome=Outcome.NORMALISED, by=SKOPS)
        told += _in_words(list(islice(changes(*(_plain(tree) for tree in trees)), _MOST_CHANGES)))
        if not told:
            told = _in_words(list(islice(changes(*trees), _MOST_CHANGES)))
    except (
        TooMuchError,
        zipfile.BadZipFile,
        OSError,
        ValueError,
        KeyError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        why = f"they are not looked into: {type(error).__name__}: {error}"
        return Content(outcome=Outcome.DIFFERENT, by=SKOPS, told=(why,))
    return Content(outcome=Outcome.DIFFERENT, by=SKOPS, told=tuple(told))


def _in_words(found: Sequence[Leaf]) -> list[str]:
    """Return what differs: first parameters and single values, then a few of the arrays, and how many there are."""
    arrays = [leaf for leaf in found if _HASH in leaf.before + leaf.after]
    told = [str(leaf) for leaf in found if _HASH not in leaf.before + leaf.after]
    if len(told) > _SHOWN:
        told = [*told[:_SHOWN], f"… and {len(told) - _SHOWN} more values"]
    told += [f"{leaf.path}: {_array(leaf.before, leaf.after)}" for leaf in arrays[:_ARRAYS]]
    return [*told, f"… and {len(arrays) - _ARRAYS} more arrays"] if len(arrays) > _ARRAYS else told


def _array(before: str, after: str) -> str:
    words = [text.partition(_HASH)[0] for text in (before, after)]
    return f"{words[0]}, other values" if words[0] == words[1] else f"{words[0]} → {words[1]}"


def _typed(value: Json) -> str:
    """Return JSON as text, in which 1, 1.0 and true are three things."""
    return json.dumps(value, sort_keys=True)


def _read(stream: BinaryIO) -> tuple[Json, Mapping[str, Member]]:
    members = dict(members_of(stream))
    schema = members.pop(_SCHEMA, None)
    if schema is None:
        raise ValueError(f"there is no {_SCHEMA}")
    if schema.size > _MOST_SCHEMA:
        raise TooMuchError(f"{_SCHEMA} has more than {_MOST_SCHEMA:,} bytes")
    with zipfile.ZipFile(stream) as archive:
        return json.loads(archive.read(_SCHEMA)), members


def _loose(schema: Json, members: Mapping[str, Member]) -> dict[str, Member]:
    """Return the members that no node of the schema names: they are compared by their own names."""
    named = set(_files(schema))
    return {name: member for name, member in members.items() if name not in named}


def _files(node: Json) -> Iterator[str]:
    if isinstance(node, Mapping):
        if isinstance(node.get("file"), str):
            yield node["file"]
        for below in node.values():
            yield from _files(below)
    elif isinstance(node, list):
        for below in node:
            yield from _files(below)


class _Renumbered:
    """A schema's tree with objects numbered as they appear, and members named by what they hold."""

    def __init__(self, members: Mapping[str, Member]) -> None:
        self._members = members
        self._seen: dict[Any, int] = {}

    def tree(self, node: Json) -> Json:
        """Return the tree."""
        if isinstance(node, list):
            return [self.tree(below) for below in node]
        if not isinstance(node, Mapping):
            return node
        made: dict[str, Json] = {}
        plain = node.get(_LOADER) == _PLAIN
        number = node.get(_ID)
        if number is not None and not plain:  # before what lies below, so that an object that holds itself is known
            made[_ID] = self._seen.setdefault(str(number), len(self._seen) + 1)
        for key, below in node.items():
            if key == _ID:
                continue
            if key == "file" and isinstance(below, str):
                made[key] = self._named(below)
            else:
                made[key] = self.tree(below)
        return made

    def _named(self, file: str) -> str:
        member = self._members.get(file)
        return f"missing {file}" if member is None else f"{member}{_HASH}{member.digest}"


def _plain(node: Json) -> Json:  # noqa: PLR0911 - a table of kinds
    """Return a renumbered tree as people think of it: a model's attributes by name, without skops's own fields."""
    if isinstance(node, list):
        return [_plain(below) for below in node]
    if not isinstance(node, Mapping) or _CLASS not in node:
        return {key: _plain(below) for key, below in node.items()} if isinstance(node, Mapping) else node
    name = f"{node.get(_MODULE)}.{node.get(_CLASS)}"
    if node.get(_LOADER) == _PLAIN:
        return _value(node.get("content"))
    if "file" in node:
        return node["file"]
    content = node.get("content")
    if isinstance(content, Mapping) and _CLASS in content and node.get(_LOADER) not in ("DictNode", "ListNode"):
        below = _plain(content)
        return {"(class)": name, **below} if isinstance(below, dict) else below
    if isinstance(content, Mapping | list):
        return _plain(content)
    return {key: _plain(below) for key, below in node.items() if key not in (_ID, _LOADER)}


def _value(text: Json) -> Json:
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
