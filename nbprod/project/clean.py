"""HTML out of notebooks, made harmless and kept readable (law 10).

nbconvert's own `clean_html` knows hardly a tag: it shows headings, paragraphs, tables and pictures as text. This one
keeps what documents are made of, drops scripts and styles with their contents, and takes pictures from the page only.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

__all__ = ["clean_html"]

# fmt: off
_TAGS = frozenset((
    "a", "abbr", "b", "blockquote", "br", "caption", "cite", "code", "col", "colgroup", "dd", "del", "details",
    "dfn", "div", "dl", "dt", "em", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img",
    "ins", "kbd", "li", "mark", "ol", "p", "pre", "q", "s", "samp", "small", "span", "strike", "strong", "sub",
    "summary", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "tt", "u", "ul", "var",
))
# fmt: on
_DROPPED = frozenset(("script", "style"))
_EVERYWHERE = frozenset(("class", "id", "title", "style", "align", "valign", "dir", "lang"))
_OF_TAG = {
    "a": frozenset(("href", "name")),
    "img": frozenset(("src", "alt", "width", "height")),
    "td": frozenset(("colspan", "rowspan")),
    "th": frozenset(("colspan", "rowspan", "scope")),
    "ol": frozenset(("start", "type")),
    "table": frozenset(("border",)),
    "details": frozenset(("open",)),
}
_PASSES = 8
_LINKS = ("http://", "https://", "mailto:", "#")


def clean_html(element: Any) -> str:
    """Return HTML without anything that runs or is fetched: scripts, styles, forms, frames, handlers, remote pictures.

    Args:
        element: text, or bytes in UTF-8.
    """
    from bleach.css_sanitizer import CSSSanitizer  # type: ignore[import-untyped]  # noqa: PLC0415 - slow to import, and only here
    from bleach.html5lib_shim import Filter  # type: ignore[import-untyped]  # noqa: PLC0415
    from bleach.sanitizer import Cleaner  # type: ignore[import-untyped]  # noqa: PLC0415

    class WithoutScripts(Filter):  # type: ignore[misc, no-any-unimported, unused-ignore]
        """Drops scripts and styles with their contents, which else would stand in the page as text."""

        def __iter__(self) -> Iterator[Any]:
            inside = ""
            for token in Filter.__iter__(self):
                if inside:
                    inside = "" if token["type"] == "EndTag" and token["name"] == inside else inside
                elif token["type"] in ("StartTag", "EmptyTag") and token["name"] in _DROPPED:
                    inside = token["name"] if token["type"] == "StartTag" else ""
                elif not (token["type"] == "EndTag" and token["name"] in _DROPPED):
                    yield token

    cleaner = Cleaner(
        tags=_TAGS | _DROPPED,
        attributes=_allowed,
        protocols=("http", "https", "mailto", "data"),
        css_sanitizer=CSSSanitizer(),
        filters=[WithoutScripts],
        strip=True,
    )
    text = element.decode("utf-8", "replace") if isinstance(element, bytes) else str(element)
    # A browser reads what comes out once more, and must find what was looked at: links within links change the nesting.
    for _ in range(_PASSES):
        before, text = text, str(cleaner.clean(text))
        if text == before:
            return text
    return html.escape(text)


def _allowed(tag: str, name: str, value: str) -> bool:
    if name in _EVERYWHERE:
        return True
    if name not in _OF_TAG.get(tag, ()):
        return False
    start = value.strip().lower()
    if name == "href":
        return start.startswith(_LINKS)
    return name != "src" or start.startswith("data:image/")
