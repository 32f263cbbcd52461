"""Scraps: the named values that a notebook glued with scrapbook, read strictly from its outputs."""

from nbprod.scraps.reader import read_scraps
from nbprod.scraps.scrap import INLINE_LIMIT, Scrap, ScrapEntry

__all__ = ["INLINE_LIMIT", "Scrap", "ScrapEntry", "read_scraps"]
