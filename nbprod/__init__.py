"""nbprod: Jupyter notebooks in production."""
