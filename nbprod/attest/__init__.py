"""Signed statements: DSSE envelopes, signed notes and checkpoints, and the list of keys."""
