"""The form of a bundle: what its members are called, and its index (docs/reference/bundle.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from nbprod.attest.strict import read_base64, read_object, write_base64
from nbprod.digest import Digest, Json, canonical
from nbprod.errors import BundleInvalid, CallerError, IntegrityError, UnsupportedVersion
from nbprod.record.ids import RunId

__all__ = [
    "CHECKPOINT",
    "CONSISTENCY",
    "EVENTS",
    "INDEX",
    "KEYS",
    "README",
    "Absent",
    "Index",
    "Member",
    "Proven",
    "RunEntry",
    "events_bytes",
    "proofs_bytes",
    "read_events",
    "read_proofs",
]

INDEX, README = "bundle.json", "README.txt"
EVENTS, CONSISTENCY, CHECKPOINT = "log/events.jsonl", "log/consistency.json", "log/checkpoint.txt"
KEYS = "log/keys"
"""The folder of the signed lists of keys, in order: `0001.json` …"""

_FORM = 1

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file of the bundle.

    Args:
        name: where it stands; ASCII.
        digest: of its bytes.
        size: in bytes.
        what: what it is, for people.
    """

    name: str
    digest: Digest
    size: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """What belongs to a run and is not in the bundle: an object, or a run of another ledger that it came from.

    Args:
        run: which run.
        digest: of its bytes; of a run, of what it handed over.
        what: what it is, for people.
        why: why it is not there, for people.
        left_out: whether that was chosen: an input that the run read, or was handed.
    """

    run: RunId
    digest: Digest
    what: str
    why: str
    left_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEntry:
    """A run of the bundle.

    Args:
        run: which.
        step: its step.
        record: the digest of its record.
    """

    run: RunId
    step: str
    record: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What is in a bundle. Nobody signs it: what counts is proven by signatures and by the log's proofs.

    Args:
        made_by: the program.
        runs: the run that was asked for, and then those whose results it used.
        members: all files but the index itself, by name.
        absent: what was left out, or was not to be had.
    """

    made_by: str
    runs: tuple[RunEntry, ...]
    members: tuple[Member, ...]
    absent: tuple[Absent, ...] = ()

    def to_bytes(self) -> bytes:
        """Return the bytes that stand in the bundle: RFC 8785."""
        members = [
            {"name": each.name, "digest": str(each.digest), "size": each.size, "what": each.what}
            for each in self.members
        ]
        absent = [
            {
                "run": str(each.run),
                "digest": str(each.digest),
                "what": each.what,
                "why": each.why,
                "left_out": each.left_out,
            }
            for each in self.absent
        ]
        runs = [{"run": str(each.run), "step": each.step, "record": str(each.record)} for each in self.runs]
        return canonical({"form": _FORM, "made_by": self.made_by, "runs": runs, "members": members, "absent": absent})

    @classmethod
    def from_bytes(cls, data: bytes) -> Index:
        """Read what `to_bytes` wrote.

        Raises:
            UnsupportedVersion: a newer nbprod wrote it.
            BundleInvalid: it is something else.
        """
        try:
            told = read_object(data, f"the index {INDEX}")
            if told.get("form") != _FORM:
                raise UnsupportedVersion(
                    "this bundle was written by a newer nbprod",
                    expected=f"form {_FORM}",
                    found=repr(told.get("form")),
                    hint="Upgrade nbprod.",
                )
            made = cls(
                made_by=str(told["made_by"]),
                runs=tuple(map(_run, told["runs"])),
                members=tuple(map(_member, told["members"])),
                absent=tuple(map(_absent, told["absent"])),
            )
        except (IntegrityError, ValueError, KeyError, TypeError, AttributeError, CallerError) as error:
            raise BundleInvalid(
                "this bundle's index cannot be read", found=f"{type(error).__name__}: {error}"
            ) from error
        if made.to_bytes() != data:
            raise BundleInvalid("this bundle's index is not in the form that nbprod writes", expected="RFC 8785")
        if not made.runs or len({each.run for each in made.runs}) < len(made.runs):
            raise BundleInvalid("this bundle's index names no run, or one twice")
        return made


def _run(told: Mapping[str, Any]) -> RunEntry:
    return RunEntry(run=RunId(told["run"]), step=str(told["step"]), record=Digest.parse(told["record"]))


def _member(told: Mapping[str, Any]) -> Member:
    return Member(
        name=str(told["name"]), digest=Digest.parse(told["digest"]), size=_count(told["size"]), what=str(told["what"])
    )


def _absent(told: Mapping[str, Any]) -> Absent:
    return Absent(
        run=RunId(told["run"]),
        digest=Digest.parse(told["digest"]),
        what=str(told["what"]),
        why=str(told["why"]),
        left_out=told["left_out"] is True,
    )


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise TypeError(f"expected a number, got {value!r}")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """An event with what proves its place in the log.

    Args:
        body: its stored form, which is the leaf.
        index: its place; None while it has none.
        proof: of inclusion in the tree of the bundle's checkpoint; None where that does not cover it.
    """

    body: bytes
    index: int | None = None
    proof: tuple[bytes, ...] | None = None

    def to_json(self) -> dict[str, Json]:
        """Return it as JSON."""
        told = None if self.proof is None else list(map(write_base64, self.proof))
        return {"event": self.body.decode(), "index": self.index, "proof": told}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Proven:
        """Read what `to_json` wrote (raises as `read_events`)."""
        index, proof = told["index"], told["proof"]
        return cls(
            body=str(told["event"]).encode(),
            index=None if index is None else _count(index),
            proof=None if proof is None else tuple(read_base64(str(each), "a proof") for each in proof),
        )


def events_bytes(events: tuple[Proven, ...]) -> bytes:
    """Return events as lines of canonical JSON."""
    return b"".join(canonical(each.to_json()) + b"\n" for each in events)


def read_events(data: bytes) -> tuple[Proven, ...]:
    """Read what `events_bytes` wrote.

    Raises:
        BundleInvalid: it is something else.
    """
    try:
        found = tuple(Proven.from_json(read_object(line, "an event")) for line in data.split(b"\n")[:-1])
        return _only(found, events_bytes(found), data)
    except (IntegrityError, ValueError, KeyError, TypeError) as error:
        raise BundleInvalid("this bundle's events cannot be read", found=f"{type(error).__name__}: {error}") from error


def proofs_bytes(proofs: Mapping[int, tuple[bytes, ...]]) -> bytes:
    """Return proofs that the log at a size went on to the bundle's checkpoint, by those sizes, as canonical JSON."""
    told = [{"size": size, "proof": list(map(write_base64, proof))} for size, proof in sorted(proofs.items())]
    return canonical({"proofs": told})


def read_proofs(data: bytes) -> dict[int, tuple[bytes, ...]]:
    """Read what `proofs_bytes` wrote.

    Raises:
        BundleInvalid: it is something else.
    """
    try:
        told = read_object(data, "the proofs of consistency")["proofs"]
        found = {
            _count(each["size"]): tuple(read_base64(str(part), "a proof") for part in each["proof"]) for each in told
        }
        return _only(found, proofs_bytes(found), data)
    except (IntegrityError, ValueError, KeyError, TypeError) as error:
        raise BundleInvalid("this bundle's proofs cannot be read", found=f"{type(error).__name__}: {error}") from error


def _only(value: T, written: bytes, data: bytes) -> T:
    """Return a value that was read, if it stands in the one form in which it is written."""
    if written != data:
        raise IntegrityError("it is not in the form that nbprod writes", expected="RFC 8785")
    return value
