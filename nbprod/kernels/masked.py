"""Masks a message's content: what a person can read in it, and never the words that make it a message.

Secrets are ordinary texts, and may be `data`, `ok` or `12345` as well. So contents are parsed first, and masked by
their shapes (Jupyter client documentation, "Messaging in Jupyter"; scrapbook 0.5.0, `schemas/scrap.v1.json`):

- Kept as they are: field names, MIME types that are known, and the few values that steer who reads the message
  (`status`, a stream's `name`, a scrap's `encoder` …), as long as they are words of the protocol.
- Masked: all other texts, keys of users' JSON too, a scrap's name (the same in payload and metadata, so that it stays
  a scrap), and numbers in users' JSON that are a secret as a whole. `true`, `false` and `null` tell nothing, and stay.
- Images, and whatever else comes as base64, are looked into: a piece of metadata with a secret in it is left out, and
  the output's own metadata say so (`{"nbprod": {"masked": […]}}`); what cannot do without is left out whole.
- A value with a type's tag (`{"$nbprod": "datetime", …}`) in which something was masked fits its type no longer, and
  stands as plain JSON from then on.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from nbprod.kernels.images import without_secrets
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
_BINARY: Final = ("image/", "audio/", "video/", "application/pdf", "application/octet-stream")
_EMBEDDED = re.compile(r"(data:[\w.+-]+/[\w.+-]+(?:;[\w.=-]+)*;base64,)([A-Za-z0-9+/]+={0,2})")
"""An image within HTML, Markdown or SVG (RFC 2397)."""
_TOO_DEEP = "[nbprod] nested too deeply to be masked, and so not kept"


def mask_content(data: bytes, content: Any, masker: Masker) -> bytes:
    """Return a message's content with every secret replaced; the very same bytes where there is none in it.

    Args:
        data: JSON in UTF-8, NaN and infinities allowed.
        content: what it says.
        masker: knows the secrets.
    """
    masked = _Masked(masker).content(content)
    # ASCII, so that lone surrogates can be written as well.
    return data if masked == content else json.dumps(masked).encode("ascii")


class _Masked:
    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._text = masker.mask_text
        self._inside: set[str] = set()

    def content(self, content: Any) -> Any:
        if not isinstance(content, Mapping):
            return self._json(content)
        masked = {self._key(key, _FIELDS): self._field(content, key, value) for key, value in content.items()}
        if self._inside:
            told = masked.get("metadata")
            masked["metadata"] = {
                **(told if isinstance(told, dict) else {}),
                "nbprod": {"masked": [self._masker.mask(name) for name in sorted(self._inside)]},
            }
        return masked

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
            elif (kept := self._body(mime, body)) is not None:
                masked[self._key(mime, _MIMES)] = self._json(kept)
            else:
                masked.setdefault("text/plain", f"[nbprod] {self._text(mime)} held a secret, and was not kept")
        return masked

    def _body(self, mime: str, body: Any) -> Any:
        """Return what is shown without the secrets that no text of it shows; None where it cannot do without."""
        if isinstance(body, list) and all(isinstance(line, str) for line in body):
            body = "".join(body)
        if not isinstance(body, str):
            return body
        if mime.startswith(_BINARY) and mime != "image/svg+xml":
            return self._cleaned(body)
        if ";base64," in body:
            return _EMBEDDED.sub(lambda found: found[1] + (self._cleaned(found[2]) or ""), body)
        return body

    def _cleaned(self, text: str) -> str | None:
        try:
            data = base64.b64decode(text, validate=False)
        except (binascii.Error, ValueError):
            return text
        kept, names = without_secrets(data, self._masker)
        if kept is data:
            return text
        self._inside |= names
        return None if kept is None else base64.b64encode(kept).decode("ascii")

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
