"""Frozen, pure values of what was asked and what happened."""
