"""From kernel messages to a notebook's outputs (nbformat 4.5), with limits.

The same collector serves the live run and the replay of a journal, so both give the same notebook.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["OUTPUT_KINDS", "Collector", "OutputLimits"]

MIB = 1 << 20
OUTPUT_KINDS = frozenset(
    {
        "stream",
        "display_data",
        "execute_result",
        "update_display_data",
        "clear_output",
        "error",
        "comm_open",
        "comm_msg",
    }
)
"""The IOPub messages that put something out."""
_SCRAP = "application/scrapbook.scrap."
_JOURNALS = 10
"""Times the run's limit that the journal may hold of outputs that were cleared again."""
_PIECE, _PIECES = 20_000, 100
"""Characters per text, and texts, that are kept of an exception."""
_LEVELS = 200
"""Levels of lists and objects in an output's data: nbformat takes two frames of Python's thousand for each."""
_TAIL = 4096
"""Characters of a stream's end that survive a cut."""

Output = dict[str, Any]
Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputLimits:
    """How much output is kept.

    Args:
        cell: bytes per cell.
        run: bytes per run.
    """

    cell: int = 10 * MIB
    run: int = 100 * MIB


def _bounded(error: Message) -> Message:
    """Return an error with texts of bearable length: an exception may carry megabytes."""
    traceback = list(error.get("traceback") or ())
    pieces = [str(error.get("evalue", "")), *map(str, traceback)]
    if len(pieces) <= _PIECES and all(len(piece) <= _PIECE for piece in pieces):
        return error
    if len(traceback) > _PIECES:
        gap = f"[nbprod] {len(traceback) - _PIECES} frames were cut here."
        traceback = [*traceback[: _PIECES // 2], gap, *traceback[-_PIECES // 2 :]]
    return {**error, "evalue": _cut(pieces[0]), "traceback": [_cut(str(piece)) for piece in traceback]}


def _cut(text: str) -> str:
    return text if len(text) <= _PIECE else f"{text[:_PIECE]}… [nbprod] {len(text) - _PIECE:,} characters were cut."


def _shallow(content: Message) -> Message:
    """Return a message without data that is nested deeper than the programs that read notebooks bear."""
    data = content.get("data")
    deep = [mime for mime, body in data.items() if _is_deeper(body, _LEVELS)] if isinstance(data, dict) else []
    note = f"[nbprod] This output was nested more than {_LEVELS} levels deep, and was left out."
    return {**content, "data": {**data, **dict.fromkeys(deep, note)}} if deep and isinstance(data, dict) else content


def _is_deeper(value: Any, levels: int) -> bool:
    layer = [value]
    for _ in range(levels + 1):
        if not (layer := [each for each in layer if isinstance(each, dict | list)]):
            return False
        layer = [item for each in layer for item in (each.values() if isinstance(each, dict) else each)]
    return True


def _is_scrap(content: Mapping[str, Any]) -> bool:
    return any(str(mime).startswith(_SCRAP) for mime in content.get("data") or ())


@dataclass(slots=True)
class CellOutputs:
    """What one cell has put out so far."""

    outputs: list[Output] = field(default_factory=list)
    pieces: list[str] | None = None  # the text of the last output while it is a growing stream
    clear_next: bool = False
    size: int = 0  # bytes that came
    kept: int = 0  # bytes that were kept
    dropped: int = 0  # bytes that were cut
    tail: deque[tuple[str, str]] = field(default_factory=deque)
    tail_length: int = 0

    def settle(self) -> None:
        """Join a growing stream's pieces."""
        if self.pieces is not None:
            self.outputs[-1]["text"] = "".join(self.pieces)
            self.pieces = None


class Collector:
    """Collects outputs by cell position."""

    def __init__(self, limits: OutputLimits) -> None:
        self.limits = limits
        self._cells: dict[int, CellOutputs] = {}
        self._kept = 0
        self._admitted = 0  # what outputs that were cleared had, too: the journal holds them all
        self._by_display_id: dict[str, list[Output]] = {}
        self.widgets: dict[str, dict[str, Any]] = {}

    def _cell(self, position: int) -> CellOutputs:
        return self._cells.setdefault(position, CellOutputs())

    def size(self, position: int) -> int:
        """Return the bytes that a cell put out, those cut included."""
        return self._cell(position).size

    def truncated(self, position: int) -> bool:
        """Return whether a cell's output was cut."""
        return self._cell(position).dropped > 0

    def outputs(self, position: int) -> list[Output]:
        """Return a cell's outputs."""
        cell = self._cell(position)
        cell.settle()
        return cell.outputs

    def admit(self, position: int, kind: str, content: Mapping[str, Any], size: int) -> Message | None:
        """Count a message against the limits; return it, what of it is kept, or None.

        Only streams are kept in part, and of what is cut from them the end is remembered for `cut_marker`.

        Args:
            position: the cell's.
            kind: the message's type.
            content: the message.
            size: its bytes; those of a stream are its text's, in UTF-8.
        """
        cell = self._cell(position)
        content = _shallow(content)
        text = str(content.get("text", "")).encode("utf-8", "surrogatepass") if kind == "stream" else b""
        size = len(text) if kind == "stream" else size
        cell.size += size
        if cell.clear_next or (kind == "clear_output" and not content.get("wait")):
            self._forget(cell)
        if kind == "error":
            return _bounded(content)
        if kind == "clear_output" or _is_scrap(content):
            return content  # results and errors are no chatter: the truth about the cell depends on them
        # Nothing is kept after a gap, so that what is there is the beginning.
        room = 0 if cell.dropped else min(self.limits.cell - cell.kept, self.limits.run - self._kept)
        room = max(0, min(room, _JOURNALS * self.limits.run - self._admitted))
        kept = size if size <= room else room if kind == "stream" else 0
        self._kept += kept
        self._admitted += kept
        cell.kept += kept
        if kept == size:
            return content
        cell.dropped += size - kept
        if kind == "stream":
            self._remember(cell, str(content.get("name", "stdout")), text[kept:].decode("utf-8", "ignore"))
        return {**content, "text": text[:kept].decode("utf-8", "ignore")} if kept else None

    def _forget(self, cell: CellOutputs) -> None:
        """Give back what a cleared output had of the limits: nobody will see it."""
        self._kept -= cell.kept
        cell.kept = cell.dropped = cell.tail_length = 0
        cell.tail.clear()

    def _remember(self, cell: CellOutputs, name: str, text: str) -> None:
        cell.tail.append((name, text[-_TAIL:]))
        cell.tail_length += len(cell.tail[-1][1])
        while len(cell.tail) > 1 and cell.tail_length - len(cell.tail[0][1]) >= _TAIL:
            cell.tail_length -= len(cell.tail.popleft()[1])

    def count(self, position: int, size: int) -> None:
        """Count bytes of a message that a journal holds: what it holds was within the limits."""
        self._cell(position).size += size

    def drops(self, position: int) -> dict[str, Any] | None:
        """Return what the journal is to hold of a cut that is under way; None where nothing was cut."""
        cell = self._cell(position)
        return {"size": cell.size, "dropped": cell.dropped, "tail": list(cell.tail)} if cell.dropped else None

    def restore_drops(self, position: int, drops: Mapping[str, Any]) -> None:
        """Take back what `drops` gave."""
        cell = self._cell(position)
        cell.size, cell.dropped = drops["size"], drops["dropped"]
        cell.tail = deque((str(name), str(text)) for name, text in drops["tail"])

    def cut_marker(self, position: int) -> list[tuple[str, dict[str, Any]]]:
        """Return messages that say what was cut from a cell, and its streams' last words; none if nothing was cut."""
        cell = self._cell(position)
        if not cell.dropped:
            return []
        note = (
            f"\n[nbprod] Output cut here: {cell.dropped:,} of this cell's {cell.size:,} bytes were dropped "
            f"(limits: {self.limits.cell:,} bytes per cell, {self.limits.run:,} per run).\n"
        )
        messages: list[tuple[str, dict[str, Any]]] = [("stream", {"name": "stderr", "text": note})]
        if cell.tail:
            messages[0][1]["text"] += "[nbprod] The last of it:\n"
            messages += [("stream", {"name": name, "text": text}) for name, text in cell.tail]
        cell.tail.clear()
        return messages

    def add(self, position: int, kind: str, content: Mapping[str, Any]) -> None:
        """Take one IOPub message of a cell."""
        cell = self._cell(position)
        if kind == "stream":
            self._add_stream(cell, str(content["name"]), str(content["text"]))
        elif kind == "clear_output":
            if content.get("wait"):
                cell.clear_next = True
            else:
                self._clear(cell)
        elif kind in ("display_data", "execute_result"):
            self._add_display(cell, kind, content)
        elif kind == "update_display_data":
            for output in self._by_display_id.get(str((content.get("transient") or {}).get("display_id")), ()):
                output["data"] = content["data"]
                output["metadata"] = content.get("metadata", {})
        elif kind == "error":
            self._append(
                cell,
                {
                    "output_type": "error",
                    "ename": content.get("ename", ""),
                    "evalue": content.get("evalue", ""),
                    "traceback": list(content.get("traceback", ())),
                },
            )
        elif kind in ("comm_open", "comm_msg"):
            self._add_comm(content)

    def _add_display(self, cell: CellOutputs, kind: str, content: Mapping[str, Any]) -> None:
        output = {"output_type": kind, "data": content["data"], "metadata": content.get("metadata", {})}
        if kind == "execute_result":
            output["execution_count"] = content.get("execution_count")
        self._append(cell, output)
        display_id = (content.get("transient") or {}).get("display_id")
        if display_id is not None:
            self._by_display_id.setdefault(str(display_id), []).append(output)

    def _clear(self, cell: CellOutputs) -> None:
        cell.outputs.clear()
        cell.pieces = None
        cell.clear_next = False

    def _append(self, cell: CellOutputs, output: Output) -> None:
        if cell.clear_next:
            self._clear(cell)
        cell.settle()
        cell.outputs.append(output)

    def _add_stream(self, cell: CellOutputs, name: str, text: str) -> None:
        if cell.clear_next:
            self._clear(cell)
        if cell.pieces is not None and cell.outputs[-1]["name"] == name:
            cell.pieces.append(text)
            return
        cell.settle()
        cell.outputs.append({"output_type": "stream", "name": name, "text": ""})
        cell.pieces = [text]

    def _add_comm(self, content: Mapping[str, Any]) -> None:
        data = content.get("data") or {}
        state = data.get("state")
        comm_id = str(content.get("comm_id"))
        if content.get("target_name") == "jupyter.widget" and state is not None:
            self.widgets[comm_id] = dict(state)
        elif comm_id in self.widgets and data.get("method", "update") == "update" and state is not None:
            self.widgets[comm_id].update(state)

    def widget_metadata(self) -> dict[str, Any] | None:
        """Return the notebook's `widgets` metadata (ipywidgets' schema 2), None where there are none."""
        if not self.widgets:
            return None
        state = {
            comm_id: {
                "model_name": widget.get("_model_name"),
                "model_module": widget.get("_model_module"),
                "model_module_version": widget.get("_model_module_version"),
                "state": widget,
            }
            for comm_id, widget in self.widgets.items()
            if "_model_name" in widget and "_model_module" in widget
        }
        bundle = {"state": state, "version_major": 2, "version_minor": 0}
        return {"application/vnd.jupyter.widget-state+json": bundle}
