"""The notebook file format: bytes to a structurally sound nbformat v4 dict, upgraded in memory.

Format: nbformat 4.5 (nbformat.readthedocs.io, "The notebook file format"). What is checked here is what the rest of
nbprod relies on; the full JSON Schema would cost more than the reading, and the import of nbformat.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from nbprod.errors import NotebookInvalid

__all__ = ["load_node", "sound_node"]

_V4, _MINOR = 4, 5
_MOST = 128 << 20
"""Bytes of a notebook file: what is larger is no notebook that a browser could show."""
_CELL_KINDS = ("code", "markdown", "raw")
_OUTPUT_KINDS = ("stream", "display_data", "execute_result", "error")
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")


def load_node(data: bytes, *, where: str) -> dict[str, Any]:
    """Return the notebook in the bytes as an nbformat 4.5 dict, multi-line strings joined.

    Args:
        data: the file's bytes.
        where: the file's name, for messages.

    Raises:
        NotebookInvalid: the bytes are no JSON, no notebook, or of a version that nbformat does not know.
    """
    return sound_node(_read_json(data.removeprefix(b"\xef\xbb\xbf"), where), where=where)


def sound_node(parsed: Any, *, where: str) -> dict[str, Any]:
    """Upgrade and check a parsed notebook, in place.

    Raises:
        NotebookInvalid: it is no notebook, or of a version that nbformat does not know.
    """
    if not isinstance(parsed, dict) or type(parsed.get("nbformat")) is not int:
        raise _invalid(where, "the file's top", "an object with a number `nbformat`", parsed)
    node: dict[str, Any] = parsed
    if node["nbformat"] > _V4:
        raise NotebookInvalid(
            f"{where} is a notebook of format {node['nbformat']}", expected=f"nbformat {_V4} or older"
        )
    if node["nbformat"] < _V4:
        node = _upgrade(node, where)
    minor = node.setdefault("nbformat_minor", 0)
    if type(minor) is not int or minor < 0:
        raise _invalid(where, "nbformat_minor", "a number", minor)
    node["nbformat_minor"] = max(minor, _MINOR)
    if not isinstance(node.setdefault("metadata", {}), dict):
        raise _invalid(where, "metadata", "an object", node["metadata"])
    if not isinstance(node.get("cells"), list):
        raise _invalid(where, "cells", "a list", node.get("cells"))
    seen: set[str] = set()
    for index, cell in enumerate(node["cells"]):
        _sound_cell(cell, f"{where}: cell {index}")
        _sound_id(cell, index, seen)
    return node


def _read_json(data: bytes, where: str) -> Any:
    # Not orjson: it spoils NaN and big integers, and on notebooks (long strings) it is no faster than this.
    if len(data) > _MOST:
        found = f"{len(data) >> 20} MiB"
        raise NotebookInvalid(
            f"{where} is too large", expected=f"{_MOST >> 20} MiB or less", found=found, hint="Clear its outputs"
        )
    try:
        return json.loads(data, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        found = "an empty file" if not data.strip() else f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise NotebookInvalid(f"{where} is not a notebook", expected="JSON", found=found) from error
    except (ValueError, RecursionError) as error:
        raise NotebookInvalid(
            f"{where} is not a notebook",
            expected="JSON in UTF-8, with no key twice and not nested too deep",
            found=str(error)[:200],
        ) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse what readers understand in different ways: one would review other code than another runs."""
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for place, (key, _) in enumerate(pairs) if any(key == other for other, _ in pairs[:place]))
        raise ValueError(f"the key {twice[:80]!r} stands twice in one object")
    return found


def _upgrade(node: dict[str, Any], where: str) -> dict[str, Any]:
    import nbformat  # noqa: PLC0415 - slow to import, and only old notebooks need it
    import nbformat.reader  # noqa: PLC0415

    try:
        upgraded = nbformat.convert(nbformat.reader.reads(json.dumps(node)), _V4)
    except Exception as error:
        raise NotebookInvalid(
            f"{where}: format {node['nbformat']} cannot be upgraded", found=f"{type(error).__name__}: {error}"
        ) from error
    plain: dict[str, Any] = json.loads(json.dumps(upgraded))
    for cell in plain.get("cells", []):
        cell.pop("id", None)  # nbformat's are random, ours are the same every time
    return plain


def _sound_cell(cell: Any, where: str) -> None:
    if not isinstance(cell, dict) or cell.get("cell_type") not in _CELL_KINDS:
        found = cell.get("cell_type") if isinstance(cell, dict) else cell
        raise _invalid(where, "cell_type", " or ".join(_CELL_KINDS), found)
    cell["source"] = _joined(cell.get("source"), where, "source")
    if not isinstance(cell.setdefault("metadata", {}), dict):
        raise _invalid(where, "metadata", "an object", cell["metadata"])
    tags = cell["metadata"].get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise _invalid(where, "metadata.tags", "a list of texts", tags)
    if cell["cell_type"] != "code":
        return
    cell.setdefault("execution_count", None)
    outputs = cell.setdefault("outputs", [])
    if not isinstance(outputs, list):
        raise _invalid(where, "outputs", "a list", outputs)
    for index, output in enumerate(outputs):
        _sound_output(output, f"{where}: output {index}")


def _sound_output(output: Any, where: str) -> None:
    kind = output.get("output_type") if isinstance(output, dict) else output
    if kind not in _OUTPUT_KINDS:
        raise _invalid(where, "output_type", " or ".join(_OUTPUT_KINDS), kind)
    if kind == "stream":
        output["text"] = _joined(output.get("text"), where, "text")
    if kind in {"display_data", "execute_result"}:
        data = output.get("data")
        if not isinstance(data, dict):
            raise _invalid(where, "data", "an object", data)
        for mime, content in data.items():
            if isinstance(content, list) and not mime.endswith("json"):
                data[mime] = _joined(content, where, mime)


def _joined(value: Any, where: str, field: str) -> str:
    """Join what the file may hold as a list of lines."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    raise _invalid(where, field, "a text or a list of texts", value)


def _sound_id(cell: dict[str, Any], index: int, seen: set[str]) -> None:
    """Keep a valid, unique id; else make one that is the same at every reading."""
    name = cell.get("id")
    salt = 0
    while not isinstance(name, str) or not _ID.match(name) or name in seen:
        seed = f"{index}:{salt}:{cell['source']}".encode("utf-8", "surrogatepass")
        name, salt = hashlib.sha256(seed).hexdigest()[:12], salt + 1
    cell["id"] = name
    seen.add(name)


def _invalid(where: str, field: str, expected: str, found: object) -> NotebookInvalid:
    shown = "nothing" if found is None else repr(found)[:60]
    return NotebookInvalid(
        f"{where} is not valid: {field}", expected=expected, found=shown, hint="Open it in Jupyter and save it again"
    )
