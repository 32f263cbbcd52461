"""Executing a prepared notebook: supervisor, journal, driver, and the road through papermill's engines."""
