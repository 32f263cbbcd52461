"""Notebooks as flows of their own: in Prefect's UI, their form is the notebook's parameters cell."""

from nbprod.flow import notebook

ingest_flow = notebook("notebooks/ingest.ipynb").as_flow(name="ingest")
