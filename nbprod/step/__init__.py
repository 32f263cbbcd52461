"""A notebook as a pipeline step: its name, its settings and the contract that it must meet."""
