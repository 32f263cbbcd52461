"""What the ledger is told: events, in the past tense, frozen.

The stored form is a JSON object: `version`, `kind` (the class's name), and the event's fields. Fields that this version
doesn't know are kept in `unknown` and written back; versions and kinds that it doesn't know are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from nbprod.digest import Digest, Json
from nbprod.errors import CallerError, IntegrityError, UnsupportedVersion
from nbprod.ledger.event import Event, RunEvent, StepEvent
from nbprod.ledger.event_faults import unreadable
from nbprod.ledger.moment import moment_text, parse_moment
from nbprod.ledger.review_events import RunReviewed, StepReviewed
from nbprod.ledger.step_events import AliasMoved, StepPublished
from nbprod.record.ids import RunId
from nbprod.record.reproduced import Reproduced
from nbprod.record.review import Decision
from nbprod.record.status import Status
from nbprod.record.tombstone import ErasedObject, Tombstone
from nbprod.record.uses import Use

__all__ = [
    "AliasMoved",
    "BytesErased",
    "Event",
    "RunCancelRequested",
    "RunEvent",
    "RunFinished",
    "RunHeard",
    "RunNamed",
    "RunNoted",
    "RunReproduced",
    "RunReviewed",
    "RunStarted",
    "RunTagged",
    "RunUntagged",
    "StepEvent",
    "StepPublished",
    "StepReviewed",
    "from_json",
    "to_json",
]

VERSION = 1
"""The version of the stored form that this module writes, and the only one it reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(RunEvent):
    """A run was begun: committed before any cell runs.

    Args:
        step: the step's name.
        notebook: the source notebook's path, for people.
        request_digest: the digest of the request.
        parameters: bound values by name, in tagged form (JSON values; what JSON can't hold is tagged).
        user: who runs it.
        host: where.
        runner_pid: the runner's process id on that host.
        lease_seconds: for how long the run counts as alive without a heartbeat.
        name: a name for people.
        tags: words for people to find it by.
        note: a note for people.
        folder: where the run's working files are, on that host.
        occasion: what this run is for, so that a second call for the same finds it: a text that the caller makes.
        retry_of: the run that this one tries again.
        flow_run: the flow run that it belongs to, as the flow's runner names it.
        reproduces: the run that this one executes again, to be compared with it; it may be of another ledger.
        shared: whether those who ask for the same meanwhile wait for this run instead of starting another.
        caller: what the caller needs to find its own way back from the run: texts and numbers that it makes.
    """

    step: str
    notebook: str
    request_digest: Digest
    parameters: Mapping[str, Json]
    user: str
    host: str
    runner_pid: int
    lease_seconds: float
    name: str | None = None
    tags: tuple[str, ...] = ()
    note: str | None = None
    folder: str
    occasion: str | None = None
    retry_of: RunId | None = None
    flow_run: str | None = None
    reproduces: RunId | None = None
    shared: bool = False
    caller: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(RunEvent):
    """A run got its verdict; the bytes that it names are in the store already (law 3).

    Args:
        status: how it ended.
        reason: why, for people.
        seconds: how long it ran, by the monotonic clock.
        record: the stored record.
        notebook: the executed notebook, if there is one.
        scraps: values by name, in tagged form as parameters are.
        of: for a `cached` run, the run that answered.
        attestation: the signed envelopes of the record and of the run's provenance; None: it is not signed.
        uses: what bytes it used and left (see `nbprod.record.uses`); none in events of before it was told.
        fence: the token by which it was closed (see `Ledger.take_over`); 0: by its own runner.
    """

    status: Status
    reason: str
    seconds: float
    record: Digest
    notebook: Digest | None = None
    scraps: Mapping[str, Json] = field(default_factory=dict)
    of: RunId | None = None
    attestation: Digest | None = None
    uses: tuple[Use, ...] = ()
    fence: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNamed(RunEvent):
    """Someone named a run; an empty name takes the name away."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTagged(RunEvent):
    """Someone put a tag on a run."""

    tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunUntagged(RunEvent):
    """Someone took a tag off a run."""

    tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNoted(RunEvent):
    """Someone wrote a run's note, in place of the one before; an empty note takes it away."""

    note: str


SECOND_ENDING = "a second ending"
"""`RunHeard.what` where somebody closed a run that was closed already; `data` holds `status`, `reason`, `record` and,
where it is signed, `attestation`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHeard(RunEvent):
    """Something arrived late: it stands beside the verdict and never changes it.

    Args:
        what: a word for the kind of news.
        data: the news.
    """

    what: str
    data: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCancelRequested(RunEvent):
    """Someone asked, perhaps from another process, that a run be cancelled.

    Args:
        by: who asked.
    """

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BytesErased(RunEvent):
    """Someone erased bytes of a run, as is lawful: the event is there before they go, and stays in their place.

    Args:
        by: who did.
        why: the reason given.
        objects: which bytes, by name, digest and size.
        statement: the digest of what states all this in the store, for a ledger that is lost.
        attestation: the signed envelope of that statement; None: it is not signed.
    """

    by: str
    why: str
    objects: tuple[ErasedObject, ...]
    statement: Digest
    attestation: Digest | None = None

    @classmethod
    def of(cls, tombstone: Tombstone, statement: Digest, attestation: Digest | None = None) -> BytesErased:
        """Make the event that a tombstone states.

        Args:
            tombstone: the statement.
            statement: its digest.
            attestation: the digest of its signed envelope.
        """
        return cls(
            at=tombstone.at,
            run_id=tombstone.run_id,
            by=tombstone.by,
            why=tombstone.why,
            objects=tombstone.objects,
            statement=statement,
            attestation=attestation,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReproduced(RunEvent):
    """A run was executed again from what is kept of it, and the two were compared; said of each that is in the ledger.

    Args:
        first: the run as it was.
        second: the run that executed it again.
        level: how much of it came out the same, 0 to 3; None: not even its ending did.
        statement: the digest of what states all this in the store, with what differs.
        attestation: the signed envelope of the statement; None: it is not signed.
    """

    first: RunId
    second: RunId
    level: int | None
    statement: Digest
    attestation: Digest | None = None

    @classmethod
    def of(cls, stated: Reproduced, run_id: RunId, statement: Digest, attestation: Digest | None) -> RunReproduced:
        """Make the event that a statement proves, told of one of its two runs."""
        return cls(
            at=stated.at,
            run_id=run_id,
            first=stated.first,
            second=stated.second,
            level=stated.level,
            statement=statement,
            attestation=attestation,
        )


_KINDS: Mapping[str, type[Event]] = {
    kind.__name__: kind
    for kind in (
        RunStarted,
        RunFinished,
        RunNamed,
        RunTagged,
        RunUntagged,
        RunNoted,
        RunHeard,
        RunCancelRequested,
        BytesErased,
        RunReproduced,
        RunReviewed,
        StepPublished,
        AliasMoved,
        StepReviewed,
    )
}


_UNSAFE = 2**53


def _same(value: Any) -> Any:
    return value


def _optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"expected a number, got {value!r}")
    return float(value)


def _whole(value: float) -> float:
    """RFC 8785 writes 30.0 as 30; that this is a whole number may as well be seen here."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _UNSAFE else value


def _of(kind: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise TypeError(f"expected {kind.__name__}, got {value!r}")
        return value

    return read


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_of(str)(item) for item in _of(list)(value))


def _objects(value: Any) -> tuple[ErasedObject, ...]:
    return tuple(ErasedObject.from_json(_of(dict)(item)) for item in _of(list)(value))


def _uses(value: Any) -> tuple[Use, ...]:
    return tuple(Use.from_json(_of(dict)(item)) for item in _of(list)(value))


_Codec = tuple[Callable[[Any], Any], Callable[[Any], Any]]

_CODECS: Mapping[str, _Codec] = {
    # by annotation: how to write a field, how to read it
    "datetime": (moment_text, parse_moment),
    "RunId": (str, RunId),
    "str": (_same, _of(str)),
    "str | None": (_same, _optional(_of(str))),
    "RunId | None": (_optional(str), _optional(RunId)),
    "bool": (_same, _of(bool)),
    "int": (_same, _of(int)),
    "int | None": (_same, _optional(_of(int))),
    "float": (_whole, _number),
    "Digest": (str, Digest.parse),
    "Digest | None": (_optional(str), _optional(Digest.parse)),
    "Status": (str, Status),
    "Decision": (str, Decision),
    "tuple[str, ...]": (list, _texts),
    "tuple[ErasedObject, ...]": (lambda objects: [each.to_json() for each in objects], _objects),
    "tuple[Use, ...]": (lambda uses: [each.to_json() for each in uses], _uses),
    "Mapping[str, Json]": (dict, _of(dict)),
    "Json": (_same, _same),
}


_FIELDS: Mapping[type[Event], Mapping[str, _Codec]] = {
    kind: {each.name: _CODECS[str(each.type)] for each in fields(kind) if each.name != "unknown"}
    for kind in _KINDS.values()
}

_LATER = frozenset(
    "occasion retry_of flow_run reproduces shared caller of statement attestation log uses fence".split()  # noqa: SIM905
)
"""Fields that came later: left out where they say nothing, so that events of before are written as they were."""


def to_json(event: Event) -> dict[str, Json]:
    """Return the event's stored form."""
    body: dict[str, Json] = dict(event.unknown)
    body |= {"version": VERSION, "kind": type(event).__name__}
    for name, (write, _) in _FIELDS[type(event)].items():
        value = getattr(event, name)
        if value or name not in _LATER:
            body[name] = write(value)
    return body


def from_json(body: Mapping[str, Json]) -> Event:
    """Read an event's stored form.

    Raises:
        UnsupportedVersion: a version or kind that this nbprod doesn't know.
        IntegrityError: not an event's stored form.
    """
    if not isinstance(body, Mapping):
        raise IntegrityError("an event cannot be read", expected="a JSON object", found=type(body).__name__)
    version, name = body.get("version"), body.get("kind")
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if version != VERSION or kind is None:
        raise UnsupportedVersion(
            "this event was written by another version of nbprod",
            expected=f"version {VERSION} and one of {', '.join(_KINDS)}",
            found=f"version {version!r} and {name!r}",
            hint="Use the nbprod that wrote it, or a newer one",
        )
    known = _FIELDS[kind]
    try:
        values = {name: read(body[name]) for name, (_, read) in known.items() if name in body}
        unknown = {key: value for key, value in body.items() if key not in known and key not in ("version", "kind")}
        return kind(**values, unknown=unknown)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, CallerError) as error:
        raise unreadable(kind, body, {key: read for key, (_, read) in known.items()}, error) from error
