"""Kernels: how they are found, launched and spoken to."""
