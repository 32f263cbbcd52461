"""SLSA provenance: the published rules of Statement v1, ResourceDescriptor v1 and Provenance v1, as checks."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement

from nbprod.attest.provenance import BUILD_TYPE, BUILDER, provenance
from nbprod.digest import canonical, digest_bytes, read_canonical
from nbprod.errors import CallerError
from nbprod.record.request import Input
from nbprod.record.run_record import LockFile, RunRecord
from nbprod.record.status import Status
from tests.record.strategies import records
from tests.records import a_record

EXAMPLE_IMAGE = f"registry.example/science@sha256:{'c' * 64}"
ALGORITHMS = {"sha256": r"[0-9a-f]{64}", "gitCommit": r"[0-9a-f]{40}([0-9a-f]{24})?"}
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
EXTENSION = re.compile(r"nbprod_[A-Za-z]+")


def uri(value: Any) -> bool:
    return isinstance(value, str) and bool(urlsplit(value).scheme) and not re.search(r"\s", value)


def descriptor_faults(told: Any, *, digest: bool = False) -> list[str]:
    """in-toto/attestation, spec/v1/resource_descriptor.md."""
    faults = []
    if not {"uri", "digest", "content"} & {*told}:
        faults.append("MUST specify one of uri, digest or content")
    if digest and not told.get("digest"):
        faults.append("each subject MUST have a digest")
    if not {*told} <= {"name", "uri", "digest", "content", "downloadLocation", "mediaType", "annotations"}:
        faults.append("unknown fields")
    if "uri" in told and not uri(told["uri"]):
        faults.append("uri: a ResourceURI")
    if not isinstance(told.get("name", ""), str):
        faults.append("name: a string")
    for name, value in told.get("digest", {}).items():
        if name not in ALGORITHMS or not re.fullmatch(ALGORITHMS[name], value):
            faults.append(f"digest: {name} {value}")
    if not all(EXTENSION.fullmatch(name) for name in told.get("annotations", {})):
        faults.append("annotations SHOULD be named <vendor>_<fieldname>")
    return faults


def statement_faults(told: Any) -> list[str]:
    """in-toto/attestation, spec/v1/statement.md."""
    faults = []
    if told.get("_type") != "https://in-toto.io/Statement/v1":
        faults.append("_type: always https://in-toto.io/Statement/v1")
    if not uri(told.get("predicateType")):
        faults.append("predicateType: a TypeURI")
    subjects = told.get("subject")
    if not isinstance(subjects, list) or not subjects:
        return [*faults, "subject: required"]
    return faults + [fault for each in subjects for fault in descriptor_faults(each, digest=True)]


def provenance_faults(told: Any) -> list[str]:
    """SLSA v1.0, provenance: what is REQUIRED for Build L1, the types of all fields, and what SHOULD be."""
    faults = statement_faults(told)
    if told["predicateType"] != "https://slsa.dev/provenance/v1":
        faults.append("predicateType: https://slsa.dev/provenance/v1")
    predicate = told["predicate"]
    definition, details = predicate.get("buildDefinition", {}), predicate.get("runDetails", {})
    if not uri(definition.get("buildType")):
        faults.append("buildType: REQUIRED, a TypeURI")
    external, internal = definition.get("externalParameters"), definition.get("internalParameters", {})
    if not isinstance(external, dict) or not isinstance(internal, dict):
        faults.append("externalParameters: REQUIRED, an object")
    elif {*external} & {*internal}:
        faults.append("the same name SHOULD NOT be used for both")
    if not uri(details.get("builder", {}).get("id")):
        faults.append("builder.id: REQUIRED, a TypeURI")
    if not all(isinstance(value, str) for value in details["builder"].get("version", {}).values()):
        faults.append("builder.version: map (string to string)")
    for each in (*definition.get("resolvedDependencies", ()), *details.get("byproducts", ())):
        faults += descriptor_faults(each)
    return faults + metadata_faults(details.get("metadata", {}))


def metadata_faults(metadata: Any) -> list[str]:
    times = ("startedOn", "finishedOn")
    faults = [f"{name}: a Timestamp" for name in times if not TIMESTAMP.fullmatch(metadata.get(name, ""))]
    if not isinstance(metadata.get("invocationId"), str):
        faults.append("invocationId: a string")
    return faults


def fits_the_published_schemas(told: Any) -> None:
    """in-toto/attestation's protobuf definitions: unknown fields and other types are refused.

    Raises:
        ParseError, ValueError, TypeError: it does not fit.
    """
    Statement.copy_from_pb(json_format.ParseDict(told, statement_pb2.Statement())).validate()
    if told["predicateType"] == "https://slsa.dev/provenance/v1":
        predicate = json_format.ParseDict(told["predicate"], provenance_pb2.Provenance())
        for each in (*predicate.build_definition.resolved_dependencies, *predicate.run_details.byproducts):
            ResourceDescriptor.copy_from_pb(each).validate()


def good(record: RunRecord) -> RunRecord:
    git = {"commit": "ab" * 20, "branch": "main", "dirty": False, "remote": "https://example.com/r.git"}
    return replace(record, verdict=replace(record.verdict, status=Status.SUCCEEDED), git=git)


def made(record: RunRecord) -> Any:
    data = provenance(record, digest_bytes(record.to_bytes()), version="0.1.0")
    told = read_canonical(data)
    assert canonical(told) == data
    return told


@given(record=records, drawn=st.data())
def test_every_statement_keeps_the_rules(record: RunRecord, drawn: st.DataObject) -> None:
    record = good(record)
    if drawn.draw(st.booleans()):
        record = replace(record, git=None)
    assert provenance_faults(made(record)) == []
    fits_the_published_schemas(made(record))
    assert statement_faults(record.to_statement()) == []  # the record itself is a statement, too
    fits_the_published_schemas(record.to_statement())


def example(record: RunRecord) -> RunRecord:
    digest, run = digest_bytes(b"x"), record.run_id
    inputs = (
        Input(kind="artifact", name="model", path="model bin", digest=digest, size=1, run=run),
        Input(kind="file", name="data", path="data.csv", digest=digest, size=1),
        Input(kind="unpinned", name="pipe", path="a b", note="it is a pipe"),
    )
    request = replace(
        record.request,
        step="train",
        notebook="train@3",
        inputs=inputs,
        published=digest,
        secrets=("TOKEN",),
        parameters={"alpha": 0.5},
        limits={"timeout": 5},
    )
    return good(
        replace(
            record,
            request=request,
            labels=replace(record.labels, occasion="2026-01-31"),
            locks=(LockFile(name="uv.lock", digest=digest),),
            container={"kind": "kubernetes", "image": EXAMPLE_IMAGE},
        )
    )


@given(record=records)
def test_all_that_a_run_was_given_is_told(record: RunRecord) -> None:
    record = example(record)
    predicate = made(record)["predicate"]
    definition = predicate["buildDefinition"]
    external = definition["externalParameters"]
    assert external["parameters"] == {"alpha": 0.5}
    assert external["secrets"] == ["TOKEN"]  # the name and never the value
    assert external["notebook"] == "train@3"
    assert external["occasion"] == "2026-01-31"
    assert definition["internalParameters"]["limits"] == {"timeout": 5}
    assert definition["buildType"] == BUILD_TYPE
    assert predicate["runDetails"]["builder"]["id"] == BUILDER
    found = {each["name"]: each for each in definition["resolvedDependencies"]}
    assert found["source"]["digest"]["sha256"] == record.request.source.hex
    assert found["environment"]["digest"]["sha256"] == record.request.environment.hex
    assert found["git"]["uri"] == "git+https://example.com/r.git"
    assert found["git"]["digest"] == {"gitCommit": "ab" * 20}
    assert found["model"]["uri"] == f"urn:nbprod:run:{record.run_id}:model%20bin"
    assert found["model"]["annotations"]["nbprod_run"] == str(record.run_id)
    assert found["data"]["digest"]["sha256"] == digest_bytes(b"x").hex
    assert found["lock uv.lock"]["digest"]["sha256"] == digest_bytes(b"x").hex
    assert found["container"]["digest"]["sha256"] == "c" * 64
    assert found["container"]["annotations"] == {"nbprod_kind": "kubernetes", "nbprod_image": EXAMPLE_IMAGE}
    assert found["pipe"]["uri"] == "urn:nbprod:unpinned:a%20b"
    (byproduct,) = [each for each in predicate["runDetails"]["byproducts"] if each["name"] == "record"]
    assert byproduct["digest"]["sha256"] == digest_bytes(record.to_bytes()).hex


@given(record=records, status=st.sampled_from([status for status in Status if status is not Status.SUCCEEDED]))
def test_only_what_succeeded_has_a_provenance(record: RunRecord, status: Status) -> None:
    failed = replace(record, verdict=replace(record.verdict, status=status))
    with pytest.raises(CallerError, match="succeeded"):
        provenance(failed, digest_bytes(b""), version="0")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("_type",), "https://in-toto.io/Statement/v0.1"),
        (("subject",), []),
        (("subject", 0, "digest"), {}),
        (("subject", 0, "digest"), {"sha256": "00"}),
        (("predicateType",), "provenance"),
        (("predicate", "buildDefinition", "buildType"), "notebook"),
        (("predicate", "buildDefinition", "externalParameters"), None),
        (("predicate", "buildDefinition", "internalParameters"), {"step": 1}),
        (("predicate", "buildDefinition", "resolvedDependencies"), [{"name": "nothing"}]),
        (("predicate", "runDetails", "builder"), {"id": ""}),
        (("predicate", "runDetails", "metadata", "startedOn"), "2026-01-01T00:00:00+01:00"),
    ],
    ids=str,
)
def test_the_rules_see_what_breaks_them(path: tuple[Any, ...], value: Any) -> None:
    told = made(good(a_record()))
    assert provenance_faults(told) == []
    *way, last = path
    place = told
    for key in way:
        place = place[key]
    place[last] = value
    assert provenance_faults(told)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("_type",), "https://in-toto.io/Statement/v0.1"),
        (("subject",), []),
        (("subject", 0, "hash"), "ab"),
        (("predicate", "builder"), {"id": "x"}),  # as it was before v1
        (("predicate", "buildDefinition", "buildType"), 1),
        (("predicate", "buildDefinition", "resolvedDependencies"), [{"path": "nothing"}]),
        (("predicate", "runDetails", "metadata", "startedOn"), "yesterday"),
    ],
    ids=str,
)
def test_the_published_schemas_see_what_breaks_them(path: tuple[Any, ...], value: Any) -> None:
    told = made(good(a_record()))
    fits_the_published_schemas(told)
    *way, last = path
    place = told
    for key in way:
        place = place[key]
    place[last] = value
    with pytest.raises((json_format.ParseError, ValueError, TypeError)):
        fits_the_published_schemas(told)
