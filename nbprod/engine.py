"""The papermill engine `nbprod`: what the entry point names.

`import papermill` loads every engine's entry point while it is itself half imported, so this module imports
nothing: the work is done by modules that are imported when a notebook is executed.
"""

from __future__ import annotations

from typing import Any

__all__ = ["NbprodEngine"]


class NbprodEngine:
    """Lets any papermill-based tool run notebooks under nbprod: `papermill in.ipynb out.ipynb --engine nbprod`."""

    @classmethod
    def execute_notebook(cls, nb: Any, kernel_name: str, output_path: str | None = None, **options: Any) -> Any:
        """Execute a notebook under supervision and leave a record in the ledger of the project it runs in.

        Args:
            nb: the notebook with its parameters injected by papermill (an nbformat NotebookNode).
            kernel_name: the kernel spec's name.
            output_path: where papermill wants the executed notebook.
            options: papermill's own (`input_path`, `progress_bar`, `log_output`, `execution_timeout` …).

        Returns:
            The executed notebook.

        Raises:
            PapermillExecutionError: the run did not succeed; the executed notebook has been written and says why.
            ParameterError: parameters that do not fit the notebook's schema; nothing was started.
        """
        from nbprod.foreign import execute_for_papermill  # noqa: PLC0415 - see the module's docstring

        return execute_for_papermill(nb, kernel_name, output_path, options)

    @classmethod
    def nb_kernel_name(cls, nb: Any, name: str | None = None) -> str:
        """Return the kernel's name, the notebook's own unless one is given."""
        from papermill.utils import nb_kernel_name  # noqa: PLC0415 - see the module's docstring

        return str(nb_kernel_name(nb, name))

    @classmethod
    def nb_language(cls, nb: Any, language: str | None = None) -> str:
        """Return the notebook's language, its own unless one is given."""
        from papermill.utils import nb_language  # noqa: PLC0415 - see the module's docstring

        return str(nb_language(nb, language))
