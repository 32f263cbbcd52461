"""Executing a run again from what is kept of it, in a place of its own, and saying how much came out the same."""
