"""Parameters from the command line, in papermill's order of precedence."""

from __future__ import annotations

import base64
import binascii
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbprod.errors import CallerError

__all__ = ["GivenParameters"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenParameters:
    """What was given by `-b`, `-f`, `-y`, `-p` and `-r`; the later of these go before the earlier.

    Args:
        injected: values of `--inject-…` flags, before all others.
        encoded: base64 of YAML.
        files: paths of YAML files; `-` is stdin.
        yaml: YAML.
        texts: names and texts, read by the declared type.
        raw: names and texts that stay texts.
    """

    injected: Mapping[str, str]
    encoded: Sequence[str]
    files: Sequence[str]
    yaml: Sequence[str]
    texts: Sequence[tuple[str, str]]
    raw: Sequence[tuple[str, str]]

    def values(self) -> dict[str, Any]:
        """Return the values by name.

        Raises:
            CallerError: what was given is no YAML mapping, has a key twice, or a file cannot be read.
        """
        from nbprod.parameters import Text  # noqa: PLC0415 - `--help` must stay fast

        values: dict[str, Any] = dict(self.injected)
        for encoded in self.encoded:
            values.update(_mapping(_decoded(encoded), "-b"))
        for file in self.files:
            values.update(_mapping(_read(file), f"-f {file}"))
        for text in self.yaml:
            values.update(_mapping(text, "-y"))
        values.update({name: Text(text) for name, text in self.texts})
        values.update(dict(self.raw))
        return values


def _decoded(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise CallerError(
            "what -b was given cannot be decoded", expected="base64 of YAML in UTF-8", found=str(error)
        ) from error


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        found = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise CallerError(f"the parameters file {file} cannot be read", found=found) from error


def _mapping(text: str, where: str) -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - `--help` must stay fast

    try:
        loader = _loader()(text)
        node = loader.get_single_node()
        _refuse_twice(node, where)
        loaded = None if node is None else loader.construct_document(node)
    except yaml.YAMLError as error:
        raise CallerError(f"what {where} was given is not YAML", found=" ".join(str(error).split())) from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise CallerError(
            f"what {where} was given names no parameters",
            expected="a YAML mapping, e.g. `alpha: 0.1`",
            found=type(loaded).__name__,
        )
    return loaded


def _refuse_twice(top: Any, where: str) -> None:
    """Refuse keys that stand twice: PyYAML would take the last one silently."""
    import yaml  # noqa: PLC0415

    nodes, walked = [top], set()
    while nodes:
        node = nodes.pop()
        if id(node) in walked or not isinstance(node, yaml.CollectionNode):
            continue
        walked.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
            continue
        seen: set[tuple[str, str]] = set()
        for key, value in node.value:
            nodes += [key, value]
            if not isinstance(key, yaml.ScalarNode):
                continue
            if (key.tag, key.value) in seen:
                raise CallerError(
                    f"what {where} was given has the key {key.value!r} twice",
                    expected="each key once",
                    found=f"line {key.start_mark.line + 1}, column {key.start_mark.column + 1}",
                )
            seen.add((key.tag, key.value))


def _loader() -> Any:
    """Return a safe loader that leaves dates as text, as papermill's does: the declared type reads them."""
    import yaml  # noqa: PLC0415

    class NoDates(yaml.SafeLoader):
        yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own way
            first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
            for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    return NoDates
