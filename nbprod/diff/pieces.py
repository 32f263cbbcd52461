"""What a cell put out, cut into pieces that can be compared: texts with what kind of output they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["SCRAP", "Piece", "pieces_of"]

SCRAP = "application/scrapbook.scrap."
"""How the MIME types of scraps begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One text of a cell's outputs.

    Args:
        output: which output of the cell it belongs to, from 0, streams that follow each other counted as one.
        kind: `stdout`, `stderr`, `execute_result`, `display_data`, `error`, `traceback` or `metadata`.
        mime: the MIME type of what is displayed; empty for the others.
        body: the text; JSON in one form, a picture in base64.
    """

    output: int
    kind: str
    mime: str = ""
    body: str

    @property
    def what(self) -> str:
        """What it is, for people."""
        return self.mime or self.kind

    @property
    def is_picture(self) -> bool:
        """Whether its text is a picture's bytes, in which no rule for texts has anything to look for."""
        return self.mime.startswith("image/") and self.mime != "image/svg+xml"

    def with_body(self, change: Callable[[str], str]) -> Piece:
        """Return it with another text."""
        body = change(self.body)
        return self if body == self.body else replace(self, body=body)


def pieces_of(outputs: Iterable[Mapping[str, Any]]) -> tuple[Piece, ...]:
    """Return the pieces of a cell's outputs (nbformat 4), streams that follow each other joined.

    Execution counts, and what marks an output as a scrap, are left out.
    """
    made: list[Piece] = []
    number = -1
    for output in outputs:
        kind = str(output["output_type"])
        if kind == "stream":
            name, text = str(output.get("name", "stdout")), _text(output.get("text", ""))
            if made and made[-1].kind == name:
                made[-1] = replace(made[-1], body=made[-1].body + text)
                continue
            number += 1
            made.append(Piece(output=number, kind=name, body=text))
            continue
        number += 1
        if kind == "error":
            raised = f"{output.get('ename', '')}: {output.get('evalue', '')}"
            made.append(Piece(output=number, kind="error", body=raised))
            made.append(Piece(output=number, kind="traceback", body="\n".join(map(str, output.get("traceback") or ()))))
            continue
        for mime, body in sorted(output.get("data", {}).items()):
            made.append(Piece(output=number, kind=kind, mime=mime, body=_body(mime, body)))
        about = {key: value for key, value in (output.get("metadata") or {}).items() if key != "scrapbook"}
        if about:
            made.append(Piece(output=number, kind="metadata", body=_json(about)))
    return tuple(made)


def _body(mime: str, body: Any) -> str:
    if mime.endswith("json"):
        return _json(body)
    text = _text(body)
    return "".join(text.split()) if mime in ("image/png", "image/jpeg") else text


def _text(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
