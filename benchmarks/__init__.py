"""nbprod beside papermill on the same notebooks: `python -m benchmarks.run`, or `make bench`."""
