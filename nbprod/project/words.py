"""What people say of runs, without secrets in it: names, tags, notes and reasons stay, for everybody to read."""

from __future__ import annotations

from contextlib import suppress

from nbprod.errors import CallerError, NbprodError
from nbprod.masking import Masker
from nbprod.project.project import Project
from nbprod.runner.values import block_value, secret_values
from nbprod.step.secret import ENV, FILE

__all__ = ["refuse_secrets"]


def refuse_secrets(project: Project, **words: str | list[str]) -> None:
    """Refuse words that hold the value of a secret of any step of the project, as a run refuses them.

    Looked at are variables and files, as far as they are there now. Prefect's blocks are not asked for: that would take
    seconds, and need its API.

    Args:
        project: whose settings name the secrets.
        words: by what they are, such as `note`.

    Raises:
        CallerError: some do; the message has none of the values.
    """
    found: dict[str, None] = {}
    for name, step in project.settings.steps.items():
        for reference in step.secrets:
            if reference.source not in (ENV, FILE):
                continue
            with suppress(NbprodError):  # not to be had, or too short to be masked: no run has it either
                values = secret_values([reference], name, environ=project.environ, root=project.root, block=block_value)
                masker = Masker(values)
                found |= dict.fromkeys(what for what, said in words.items() if masker.mask_json(said) != said)
    if found:
        raise CallerError(
            f"the {' and '.join(found)} would hold the value of a secret",
            expected="secrets only in the environment",
            hint="Choose other words: these stand in the ledger, for everybody to read.",
        )
