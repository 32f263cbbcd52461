"""IPython's own lines (`%magic`, `!shell`, `name?`) made harmless, line for line, so that the rest parses as Python.

IPython is not imported: its transformer costs more than all of this, and the lines here are never run.
The forms are those of IPython's manual, "System shell access" and "Built-in magic commands".
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Cleaned", "without_magics"]

_PYTHON_BODIES = {"time", "timeit", "capture", "prun"}
"""Cell magics whose body is Python that runs in the notebook's namespace; any other body is not ours to read."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A cell's source as plain Python, with the same number of lines.

    Args:
        text: the Python source.
        assigned: line number (from 1) to the original text of a value like `!ls` in `files = !ls`.
    """

    text: str
    assigned: dict[int, str]


def without_magics(source: str) -> Cleaned:
    """Replace IPython's lines by `pass` and the values of `name = !command` by None, keeping the count of lines."""
    lines = source.split("\n")
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    if lines[first].startswith("%%"):
        magic = (lines[first][2:].split() or [""])[0]
        if magic not in _PYTHON_BODIES:
            return Cleaned("\n".join(f"# {line}" for line in lines), {})
        lines[first] = f"# {lines[first]}"
    assigned: dict[int, str] = {}
    state = _State()
    continued = False  # a magic's line that ends with a backslash goes on
    for i, line in enumerate(lines):
        if continued or (state.at_statement and _is_magic(line)):
            indent = line[: len(line) - len(line.lstrip())]
            lines[i] = f"# {line}" if continued else f"{indent}pass  # {line.lstrip()}"
            continued = line.endswith("\\")
        elif state.at_statement and (value := _assigned_magic(line)):
            assigned[i + 1] = value
            lines[i] = line[: line.index("=") + 1] + " None"
            continued = line.endswith("\\")
        else:
            state.read(line)
    return Cleaned("\n".join(lines), assigned)


def _is_magic(line: str) -> bool:
    text = line.strip()
    if text.startswith(("%", "!", "?")):
        return True
    asked = text.rstrip("?")  # `name?`, `module.name??`, `%magic?`
    return asked != text and bool(asked) and all(part.isidentifier() for part in asked.replace("*", "_").split("."))


def _assigned_magic(line: str) -> str | None:
    """Return the `!command` or `%magic` that stands as the value of an assignment."""
    target, equals, value = line.partition("=")
    names = target.replace(",", " ").split()
    if equals and names and all(name.isidentifier() for name in names) and value.lstrip().startswith(("!", "%")):
        return value.strip()
    return None


class _State:
    """Follows brackets, strings and backslashes from line to line."""

    def __init__(self) -> None:
        self.depth = 0
        self.quote = ""
        self.backslash = False

    @property
    def at_statement(self) -> bool:
        """Whether the next line begins a statement."""
        return not (self.depth or self.quote or self.backslash)

    def read(self, line: str) -> None:
        i = 0
        while i < len(line):
            if self.quote:
                i = self._in_string(line, i)
                continue
            char = line[i]
            if char == "#":
                break
            if char in "'\"":
                self.quote = char * 3 if line.startswith(char * 3, i) else char
                i += len(self.quote)
                continue
            self.depth = max(0, self.depth + (char in "([{") - (char in ")]}"))
            i += 1
        self.backslash = line.endswith("\\") and not (i < len(line))
        if len(self.quote) == 1 and not line.endswith("\\"):
            self.quote = ""  # a one-line string ends with its line

    def _in_string(self, line: str, i: int) -> int:
        if line[i] == "\\":
            return i + 2
        if line.startswith(self.quote, i):
            width, self.quote = len(self.quote), ""
            return i + width
        return i + 1
