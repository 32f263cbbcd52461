"""A succeeded run in the words of the supply chain: SLSA provenance v1 (https://slsa.dev/spec/v1.0/provenance)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from nbprod.digest import Digest, Json, canonical
from nbprod.errors import CallerError
from nbprod.record.request import Input
from nbprod.record.run_record import STATEMENT_TYPE, RunRecord
from nbprod.record.status import Status

__all__ = ["BUILDER", "BUILD_TYPE", "PROVENANCE_TYPE", "provenance"]

PROVENANCE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://nbprod.dev/slsa/notebook-run/v1"
"""How to read the parameters: docs/reference/record.md, "SLSA provenance"."""
BUILDER = "https://nbprod.dev/slsa/builder/same-user/v1"
"""The runner works as the user whose notebook it runs: Build L1, and no more."""


def provenance(record: RunRecord, digest: Digest, *, version: str) -> bytes:
    """Return the statement, as RFC 8785 bytes.

    Args:
        record: of a run that succeeded.
        digest: of the record's bytes.
        version: nbprod's.

    Raises:
        CallerError: the run did not succeed: what did not come about has no provenance.
    """
    if record.verdict.status is not Status.SUCCEEDED:
        raise CallerError(
            "only a run that succeeded has a provenance", expected="succeeded", found=str(record.verdict.status)
        )
    return canonical(
        {
            "_type": STATEMENT_TYPE,
            "subject": [
                _descriptor(f"{record.request.step}.ipynb", record.notebook.digest),
                *(_descriptor(f"artifacts/{each.name}", each.digest) for each in record.artifacts),
            ],
            "predicateType": PROVENANCE_TYPE,
            "predicate": {
                "buildDefinition": {
                    "buildType": BUILD_TYPE,
                    "externalParameters": _external(record),
                    "internalParameters": {"limits": dict(record.request.limits), "timezone": record.timezone},
                    "resolvedDependencies": list(_dependencies(record)),
                },
                "runDetails": {
                    "builder": {"id": BUILDER, "version": {"nbprod": version}},
                    "metadata": {
                        "invocationId": str(record.run_id),
                        "startedOn": _timestamp(record.started),
                        "finishedOn": _timestamp(record.finished),
                    },
                    "byproducts": list(_byproducts(record, digest)),
                },
            },
        }
    )


def _external(record: RunRecord) -> dict[str, Json]:
    """Return all that somebody else than the runner decides; what says nothing is left out."""
    request, labels = record.request, record.labels
    told: dict[str, Json] = {
        "step": request.step,
        "notebook": request.notebook,  # of a published step, NAME@VERSION
        "kernel": request.kernel,
        "parameters": dict(request.parameters),
        "given": list(request.given),
        "contract": dict(request.contract),
    }
    if request.secrets:
        told["secrets"] = list(request.secrets)
    if request.secret_references:
        told["secret_references"] = dict(request.secret_references)
    if labels.occasion is not None:
        told["occasion"] = labels.occasion
    if labels.flow_run is not None:
        told["flow_run"] = labels.flow_run
    return told


def _dependencies(record: RunRecord) -> Iterator[dict[str, Json]]:
    request = record.request
    yield _descriptor("source", request.source, nbprod_notebook=request.notebook)
    yield _descriptor("source file", record.source_file.digest)
    yield _descriptor("environment", request.environment)
    if request.published is not None:
        yield _descriptor("published step", request.published, nbprod_notebook=request.notebook)
    if record.git is not None and isinstance(commit := record.git.get("commit"), str):
        told: dict[str, Json] = {"name": "git", "digest": {"gitCommit": commit}}
        if isinstance(remote := record.git.get("remote"), str) and remote:
            told["uri"] = f"git+{remote}"
        told["annotations"] = {f"nbprod_{key}": record.git.get(key) for key in ("branch", "dirty")}
        yield told
    for lock in record.locks:
        yield _descriptor(f"lock {lock.name}", lock.digest)
    if record.container is not None:
        yield _container(record.container)
    for entry in request.inputs:
        yield _input(entry)


def _container(container: Mapping[str, Json]) -> dict[str, Json]:
    """Return the container's image: by its digest, where its name has one."""
    kind, image = container.get("kind"), container.get("image")
    about: dict[str, Json] = {"nbprod_kind": kind, "nbprod_image": image}
    told: dict[str, Json] = {"name": "container", "annotations": about}
    if pinned := re.search(r"@sha256:([0-9a-f]{64})\Z", image if isinstance(image, str) else ""):
        told["digest"] = {"sha256": pinned[1]}
    told["uri"] = f"urn:nbprod:container:{quote(str(image or kind), safe='')}"
    return told


def _input(entry: Input) -> dict[str, Json]:
    about: dict[str, Json] = {"nbprod_kind": entry.kind, "nbprod_path": entry.path}
    if entry.run is not None:
        about["nbprod_run"] = str(entry.run)
    if entry.note:
        about["nbprod_note"] = entry.note
    told: dict[str, Json] = {"name": entry.name or entry.path, "annotations": about}
    if entry.run is not None:
        told["uri"] = f"urn:nbprod:run:{entry.run}:{quote(entry.path, safe='')}"
    if entry.digest is not None:
        told["digest"] = {"sha256": entry.digest.hex}
    elif "uri" not in told:  # a descriptor needs one of the two
        told["uri"] = f"urn:nbprod:unpinned:{quote(entry.path or entry.name, safe='')}"
    return told


def _byproducts(record: RunRecord, digest: Digest) -> Iterator[dict[str, Json]]:
    yield _descriptor("record", digest)
    yield _descriptor("journal", record.journal.digest)
    if record.trace is not None:
        yield _descriptor("trace", record.trace.digest)
    if record.environment_facts is not None:
        yield _descriptor("environment facts", record.environment_facts)


def _descriptor(name: str, digest: Digest, **annotations: Json) -> dict[str, Json]:
    told: dict[str, Json] = {"name": name, "digest": {"sha256": digest.hex}}
    return {**told, "annotations": annotations} if annotations else told


def _timestamp(moment: datetime) -> str:
    """Return a moment as in-toto has it (RFC 3339, UTC, with `Z`)."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
