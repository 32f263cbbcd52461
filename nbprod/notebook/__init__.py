"""Notebooks as files: reading, the source digest, and the cell that carries the parameters."""

from nbprod.notebook.inject import Prepared, with_parameters
from nbprod.notebook.notebook import FRESH_FOLDER, INJECTED, OUTPUT_DIR, PARAMETERS, RECORD, Cell, Notebook
from nbprod.notebook.source import source_digest

__all__ = [
    "FRESH_FOLDER",
    "INJECTED",
    "OUTPUT_DIR",
    "PARAMETERS",
    "RECORD",
    "Cell",
    "Notebook",
    "Prepared",
    "source_digest",
    "with_parameters",
]
