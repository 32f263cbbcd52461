"""Masks secrets in what a notebook put out, before anything is hashed, logged or stored (law 7)."""

from nbprod.masking.masker import Masker

__all__ = ["Masker"]
