"""Signed statements: DSSE envelopes, signed notes and checkpoints, and the keys for them."""
