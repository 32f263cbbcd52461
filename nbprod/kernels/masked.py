"""Masks a message's content: what a person can read in it, and never the words that make it a message.

Secrets are ordinary texts, and may be `data`, `ok` or `12345` as well. So contents are parsed first, and masked by
their shapes (Jupyter client documentation, "Messaging in Jupyter"; scrapbook 0.5.0, `schemas/scrap.v1.json`):

- Kept as they are: field names, MIME types that are known, and the few values that steer who reads the message
  (`status`, a stream's `name`, a scrap's `encoder` …), as long as they are words of the protocol.
- Masked: all other texts, keys of users' JSON too, a scrap's name (the same in payload and metadata, so that it stays
  a scrap), and numbers in users' JSON that are a secret as a whole. `true`, `false` and `null` tell nothing, and stay.
- A value with a type's tag (`{"$nbprod": "datetime", …}`) in which something was masked fits its type no longer, and
  stands as plain JSON from then on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from nbprod.masking import Masker

__all__ = ["mask_content"]

_WORDS: Final[Mapping[str, frozenset[str]]] = {
    "name": frozenset({"stdout", "stderr"}),
    "status": frozenset({"ok", "error", "aborted", "abort"}),
    "execution_state": frozenset({"busy", "idle", "starting"}),
    "ename": frozenset({"SystemExit"}),  # by it and by `None` a run is judged: `sys.exit(None)` is an early exit
    "evalue": frozenset({"None"}),
    "target_name": frozenset({"jupyter.widget"}),
    "source": frozenset({"ask_exit", "page", "set_next_input", "edit_magic"}),
    "method": frozenset({"update", "custom", "request_state", "request_states", "echo_update"}),
}
"""Values that readers of a message go by, per field."""

_FIELDS: Final = frozenset(
    [
        "name",
        "text",
        "data",
        "metadata",
        "transient",
        "execution_count",
        "ename",
        "evalue",
        "traceback",
        "status",
        "payload",
        "user_expressions",
        "execution_state",
        "code",
        "wait",
        "comm_id",
        "target_name",
        "target_module",
        "content",
        "display_id",
        "source",
        "keepkernel",
        "start",
        "replace",
        "method",
        "state",
        "buffer_paths",
        "language_info",
        "implementation",
        "implementation_version",
        "protocol_version",
        "banner",
        "help_links",
        "debugger",
        "supported_features",
        "prompt",
        "password",
        "engine_info",
    ]
)
_MIMES: Final = frozenset(
    [
        "text/plain",
        "text/html",
        "text/markdown",
        "text/latex",
        "text/csv",
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/svg+xml",
        "image/bmp",
        "image/webp",
        "application/json",
        "application/javascript",
        "application/pdf",
        "application/geo+json",
        "application/x-tex",
        "application/vnd.jupyter.widget-view+json",
        "application/vnd.jupyter.widget-state+json",
        "application/vnd.plotly.v1+json",
        "application/vnd.bokehjs_exec.v0+json",
        "application/vnd.bokehjs_load.v0+json",
        "application/vnd.holoviews_exec.v0+json",
        "application/vnd.holoviews_load.v0+json",
        "application/vnd.vega.v5+json",
        "application/vnd.vega.v6+json",
        "application/vnd.vegalite.v4+json",
        "application/vnd.vegalite.v5+json",
        "application/vnd.vegalite.v6+json",
    ]
)
_SHOWN: Final = frozenset({"scrapbook", "isolated", "unconfined", "width", "height", "needs_background", "expanded"})
_PAYLOAD: Final = frozenset({"name", "data", "encoder", "version", "display"})
_ENCODERS: Final = frozenset({"json", "text", "pandas", "display"})
_SCRAP, _JSON = "application/scrapbook.scrap.", "+json"

_TAG = "$nbprod"
_CONTAINERS: Final = frozenset({"tuple", "set", "frozenset", "dict"})
_ARRAYS: Final = frozenset({"ndarray", "series"})
_KINDS: Final = frozenset(
    [
        "str",
        "int",
        "float",
        "bytes",
        "complex",
        "datetime",
        "date",
        "time",
        "timedelta",
        "decimal",
        "uuid",
        "path",
        "none",
        "timestamp",
    ]
).union(_CONTAINERS, _ARRAYS)
_ARRAY_FIELDS: Final = frozenset({"dtype", "shape", "values", "index", "index_names", "name"})
_TAGGED: Final = frozenset({_TAG, "value", "zone", "fold"})
_TOO_DEEP = "[nbprod] nested too deeply to be masked, and so not kept"


def mask_content(data: bytes, masker: Masker) -> bytes:
    """Return a message's content with every secret replaced; the very same bytes where there is none in it.

    Args:
        data: JSON in UTF-8, NaN and infinities allowed.
        masker: knows the secrets.
    """
    content = json.loads(data)
    masked = _Masked(masker).content(content)
    # ASCII, so that lone surrogates can be written as well.
    return data if masked == content else json.dumps(masked).encode("ascii")


class _Masked:
    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._text = masker.mask_text

    def content(self, content: Any) -> Any:
        if not isinstance(content, Mapping):
            return self._json(content)
        return {self._key(key, _FIELDS): self._field(content, key, value) for key, value in content.items()}

    def _field(self, content: Mapping[str, Any], key: str, value: Any) -> Any:
        if isinstance(value, str):
            return self._word(key, value)
        if key == "language_info" or not isinstance(value, Mapping | list):
            return value  # numbers on this level are the protocol's own
        if key == "data":
            return self._comm(value) if "comm_id" in content else self._bundle(value)
        if key == "metadata":
            return self._metadata(value)
        if key in ("payload", "transient"):
            return self._fields(value)
        return self._json(value)

    def _word(self, key: str, value: str) -> str:
        return value if value in _WORDS.get(key, ()) else self._text(value)

    def _key(self, key: str, known: frozenset[str]) -> str:
        return key if key in known else self._text(key)

    def _fields(self, value: Any) -> Any:
        """Mask values of the protocol's own objects: a reply's payload, a display's id, a widget's update."""
        if isinstance(value, list):
            return [self._fields(item) for item in value]
        if not isinstance(value, Mapping):
            return self._json(value)
        return {
            self._key(key, _FIELDS): (
                self._word(key, item)
                if isinstance(item, str)
                else self._bundle(item)
                if key == "data"
                else self._json(item)
            )
            for key, item in value.items()
        }

    def _comm(self, data: Any) -> Any:
        """Mask a comm's data; the names of a widget's traits are its program's words, and stay."""
        state = data.get("state") if isinstance(data, Mapping) else None
        if not isinstance(state, Mapping):
            return self._fields(data)
        rest = self._fields({key: item for key, item in data.items() if key != "state"})
        kept = {
            name: value if name.startswith(("_model_", "_view_")) else self._json(value)
            for name, value in state.items()
        }
        return {**rest, "state": kept}

    def _bundle(self, bundle: Any) -> Any:
        if not isinstance(bundle, Mapping):
            return self._json(bundle)
        masked: dict[str, Any] = {}
        for mime, body in bundle.items():
            if mime.startswith(_SCRAP) and mime.endswith(_JSON):
                encoder = self._encoder(mime[len(_SCRAP) : -len(_JSON)])
                masked[f"{_SCRAP}{encoder}{_JSON}"] = self._scrap(body)
            else:
                masked[self._key(mime, _MIMES)] = self._json(body)
        return masked

    def _encoder(self, encoder: str) -> str:
        return encoder if encoder in _ENCODERS else self._text(encoder)

    def _scrap(self, payload: Any) -> Any:
        if not isinstance(payload, Mapping):
            return self._json(payload)
        return {
            self._key(key, _PAYLOAD): (
                self._encoder(item) if key == "encoder" and isinstance(item, str) else self._json(item)
            )
            for key, item in payload.items()
        }

    def _metadata(self, metadata: Any) -> Any:
        if not isinstance(metadata, Mapping):
            return self._json(metadata)
        known = _SHOWN | _MIMES
        return {
            self._key(key, known): self._scrap(item) if key == "scrapbook" else self._shown(item)
            for key, item in metadata.items()
        }

    def _shown(self, item: Any) -> Any:
        if not isinstance(item, Mapping):
            return self._json(item)
        return {self._key(key, _SHOWN): self._json(value) for key, value in item.items()}

    # --- users' JSON ---------------------------------------------------------------------------

    def _json(self, value: Any) -> Any:
        try:
            return self._tree(value)
        except RecursionError:
            return _TOO_DEEP

    def _tree(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._tree(item) for item in value]
        if not isinstance(value, dict):  # asking for Mapping takes long, and there may be many numbers
            return self._masker.mask_json(value)
        kind = value.get(_TAG)
        if isinstance(kind, str) and kind in _KINDS and "value" in value and value.keys() <= _TAGGED:
            return self._tagged(kind, value)
        masked: dict[str, Any] = {}
        for key, item in value.items():
            name = self._text(key)
            while name in masked:  # two keys that are forms of one secret: both items are kept
                name += "'"
            masked[name] = self._tree(item)
        return masked

    def _tagged(self, kind: str, value: Mapping[str, Any]) -> Any:
        inner = value["value"]
        if kind in _CONTAINERS:
            return {**value, "value": self._tree(inner)}
        if kind in _ARRAYS and isinstance(inner, Mapping) and inner.keys() <= _ARRAY_FIELDS:
            masked = {key: item if key in ("dtype", "shape") else self._tree(item) for key, item in inner.items()}
        else:
            masked = self._tree(inner)
        return value if masked == inner else masked
