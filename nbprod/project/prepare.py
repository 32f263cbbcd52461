"""A notebook with its parameters injected, to be run by somebody else (papermill's `--prepare-only`)."""

from __future__ import annotations

import copy
from pathlib import Path

from nbprod.errors import CallerError, ParameterError, ParameterFault
from nbprod.notebook import FRESH_FOLDER, OUTPUT_DIR
from nbprod.runner import Job
from nbprod.store.elsewhere import write_url

__all__ = ["prepared_notebook", "write_prepared"]


def prepared_notebook(job: Job) -> bytes:
    """Return the notebook file's bytes; nothing is started and nothing is recorded.

    Raises:
        ParameterError, CallerError: a value that cannot be injected safely.
    """
    from nbprod.notebook.layout import file_bytes  # noqa: PLC0415
    from nbprod.runner.order import plain_json, plan_of  # noqa: PLC0415

    folder = job.step.schema.get(OUTPUT_DIR)
    if folder is not None and folder.default == FRESH_FOLDER and OUTPUT_DIR not in job.parameters.given:
        fault = ParameterFault(OUTPUT_DIR, folder.describe_type(), "nothing", "only a run of nbprod fills it")
        raise ParameterError(f"the parameters do not fit {job.step.name}", (fault,))
    _, prepared = plan_of(job, job.parameters.overrides)
    node = copy.deepcopy(dict(prepared.node))
    for cell in node["cells"]:
        cell["metadata"].pop("nbprod", None)  # marks of ours that only an execution needs
    given = plain_json(job.parameters.overrides)
    defaults = plain_json({name: value for name, value in job.parameters.defaults if name not in given})
    node["metadata"]["papermill"] = {"default_parameters": defaults, "parameters": given}
    return file_bytes(node)


def write_prepared(job: Job, output: Path | str) -> None:
    """Write the prepared notebook to a path, in one piece, or to an address.

    Raises:
        CallerError: it cannot be written there.
        StoreUnavailable: it cannot be written at that address.
    """
    from nbprod.runner.files import write_atomically  # noqa: PLC0415

    if isinstance(output, str):
        write_url(output, prepared_notebook(job))
        return
    try:
        write_atomically(output, prepared_notebook(job))
    except OSError as error:
        raise CallerError(f"the notebook cannot be written to {output}", found=error.strerror or str(error)) from error
