"""What nbprod knows of Jupyter kernels."""
