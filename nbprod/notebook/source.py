"""The source digest: equal for equal sources on any machine, whatever ran in the notebook before."""

from __future__ import annotations

from nbprod.digest import Digest, digest_json
from nbprod.notebook.notebook import Notebook
from nbprod.parameters.codec import tag

__all__ = ["source_digest"]

_FORM = "nbprod/source/1"


def source_digest(notebook: Notebook) -> Digest:
    """Return the digest over the cells' sources, kinds and tags, and the kernel's name and language.

    Outputs, ids, execution counts and all other metadata are left out: they change without the source changing.
    """
    cells = [
        # A source with lone surrogates is rare but has no canonical JSON: `tag` gives it one.
        {"kind": cell.kind, "source": tag(cell.source), "tags": [tag(name) for name in sorted(set(cell.tags))]}
        for cell in notebook.cells
    ]
    return digest_json(
        {"form": _FORM, "cells": cells, "kernel": tag(notebook.kernel_name), "language": tag(notebook.language)}
    )
