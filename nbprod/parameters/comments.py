"""The comments of a cell: help texts and `# type:` comments, found by `tokenize`, so that a `#` in a string is none."""

from __future__ import annotations

import ast
import io
import tokenize
from dataclasses import dataclass

__all__ = ["Comments", "split_type_comment"]

_PRAGMAS = ("noqa", "pragma:", "pylint:", "fmt:", "pyright:", "mypy:", "ruff:", "isort:", "%%", "+")


@dataclass(frozen=True, slots=True)
class Comments:
    """The comments of a source by line number (from 1).

    Args:
        beside: those that follow code on their line.
        alone: those that have the line for themselves.
    """

    beside: dict[int, str]
    alone: dict[int, str]

    @classmethod
    def of(cls, source: str) -> Comments:
        """Collect the comments of a source that parses."""
        beside: dict[int, str] = {}
        alone: dict[int, str] = {}
        try:
            for token in tokenize.generate_tokens(io.StringIO(source).readline):
                if token.type == tokenize.COMMENT:
                    place = beside if token.line[: token.start[1]].strip() else alone
                    place[token.start[0]] = token.string.lstrip("#").strip()
        except (tokenize.TokenError, SyntaxError):
            pass  # what was found so far is true; a help text is not worth a refusal
        return cls(beside, alone)

    def of_statement(self, node: ast.stmt) -> tuple[str | None, str]:
        """Return the type comment (or None) and the help text of a statement.

        The comment on the statement's own lines comes first, the last line's before the first's; else the block of
        comment lines directly above.
        """
        last = node.end_lineno or node.lineno
        kind: str | None = None
        for line in dict.fromkeys((last, node.lineno)):
            declared, text = split_type_comment(self.beside.get(line, ""))
            kind = kind or declared
            if text:
                return kind, text
        return kind, self._above(node.lineno)

    def _above(self, line: int) -> str:
        block: list[str] = []
        while (line := line - 1) in self.alone:
            block.insert(0, _without_pragma(self.alone[line]))
        return " ".join(part for part in block if part)


def split_type_comment(comment: str) -> tuple[str | None, str]:
    """Split `type: dict[str, int]  The weights` into the type's text (None where there is none) and the rest."""
    if not comment.startswith("type:"):
        return None, _without_pragma(comment)
    body = comment.removeprefix("type:").strip()
    depth, end = 0, len(body)
    for i, char in enumerate(body):
        depth += (char in "[(") - (char in "])")
        if char.isspace() and depth <= 0 and not (body[:i].endswith("|") or body[i:].lstrip().startswith("|")):
            end = i
            break
    kind, rest = body[:end], body[end:].strip().lstrip("#").strip()
    return (None if kind.startswith("ignore") else kind or None), _without_pragma(rest)


def _without_pragma(comment: str) -> str:
    return "" if comment.startswith(_PRAGMAS) else comment
