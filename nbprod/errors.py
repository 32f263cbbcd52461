"""The one tree of errors, cut by whose fault it is.

Every message is one paragraph: what went wrong, what was expected, what was found, what to do.
Every error survives pickle, because Prefect moves errors between processes (law 9).
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "BundleInvalid",
    "CallerError",
    "DigestMismatch",
    "EnvironmentFault",
    "Erased",
    "IntegrityError",
    "InternalError",
    "KernelUnavailable",
    "LedgerUnavailable",
    "NbprodError",
    "NotApproved",
    "NotFound",
    "NotReproducible",
    "NotebookError",
    "NotebookInvalid",
    "ObjectUnreadable",
    "ParameterError",
    "ParameterFault",
    "ProofInvalid",
    "RunNotSuccessful",
    "ScrapError",
    "SettingsError",
    "SignatureInvalid",
    "StoreUnavailable",
    "StoreUnreachable",
    "UnsupportedVersion",
]


def _rebuild(cls: type[NbprodError], state: dict[str, Any]) -> NbprodError:
    error = cls.__new__(cls)
    error.__dict__.update(state)
    Exception.__init__(error, error.what)
    return error


class NbprodError(Exception):
    """Anything nbprod raises on purpose.

    Args:
        what: what went wrong, naming the thing (`run 01ab… is not in this ledger`).
        expected: what would have been right, where that helps.
        found: what was there instead.
        hint: what the reader can do next.
    """

    exit_code: int = 1
    """The CLI's exit code for this error (docs/reference/exit-codes.md)."""

    def __init__(
        self, what: str, *, expected: str | None = None, found: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.expected = expected
        self.found = found
        self.hint = hint

    def __str__(self) -> str:
        """Return the whole paragraph."""
        parts = [self.what.rstrip(".")]
        if self.expected is not None:
            parts.append(f"Expected: {self.expected.rstrip('.')}")
        if self.found is not None:
            parts.append(f"Found: {self.found.rstrip('.')}")
        if self.hint is not None:
            parts.append(self.hint.rstrip("."))
        return ". ".join(parts) + "."

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by state: keyword-only constructors do not survive the default protocol."""
        return _rebuild, (type(self), dict(self.__dict__))


# --- the caller's fault -------------------------------------------------------------------------


class CallerError(NbprodError):
    """The caller asked for something that cannot be done as asked."""

    exit_code = 2


class NotFound(CallerError):
    """A notebook, step, run, scrap or artifact that was named does not exist."""


class Erased(CallerError):
    """Bytes that were asked for were erased, as is lawful: no fault, and nothing that could be mended.

    Args:
        by: who erased them.
        why: the reason given.
        digest: of the bytes, as `sha256:<hex>`.
    """

    def __init__(self, what: str, *, by: str, why: str, digest: str, hint: str | None = None) -> None:
        super().__init__(what, hint=hint)
        self.by = by
        self.why = why
        self.digest = digest


class NotApproved(CallerError):
    """An alias was to point at a version of which people have not said what the settings ask for."""


class NotReproducible(CallerError):
    """A run cannot be executed again as it was: what it needs is not to be had. Nothing was started.

    Args:
        missing: all that is missing, each in a line that says what to do.
    """

    def __init__(self, what: str, missing: tuple[str, ...], *, hint: str | None = None) -> None:
        super().__init__(what, found="".join(f"\n  - {line}" for line in missing), hint=hint)
        self.missing = missing


class SettingsError(CallerError):
    """`[tool.nbprod]` in pyproject.toml, or an option, is wrong."""


class ParameterFault:
    """One parameter that does not fit: its name, what was expected, what was given."""

    __slots__ = ("expected", "found", "hint", "parameter")

    def __init__(self, parameter: str, expected: str, found: str, hint: str | None = None) -> None:
        self.parameter = parameter
        self.expected = expected
        self.found = found
        self.hint = hint

    def __str__(self) -> str:
        """Return `alpha: expected float, got 'x' (did you mean …)`."""
        tail = f" ({self.hint})" if self.hint else ""
        return f"{self.parameter}: expected {self.expected}, got {self.found}{tail}"

    def __eq__(self, other: object) -> bool:
        """Compare by content."""
        return isinstance(other, ParameterFault) and self._key() == other._key()

    def __hash__(self) -> int:
        """Hash by content."""
        return hash(self._key())

    def __repr__(self) -> str:
        """Return a constructor-like text."""
        return f"ParameterFault({str(self)!r})"

    def _key(self) -> tuple[str, str, str, str | None]:
        return (self.parameter, self.expected, self.found, self.hint)


class ParameterError(CallerError):
    """Parameters that do not fit the notebook's schema: all faults at once, before any kernel starts."""

    def __init__(self, what: str, faults: tuple[ParameterFault, ...], *, hint: str | None = None) -> None:
        super().__init__(what, hint=hint)
        self.faults = faults

    def __str__(self) -> str:
        """Return the heading and one line per fault."""
        lines = [f"{self.what.rstrip('.:')}:"]
        lines += [f"  {fault}" for fault in self.faults]
        if self.hint:
            lines.append(self.hint)
        return "\n".join(lines)


# --- the notebook's fault -----------------------------------------------------------------------


class NotebookError(NbprodError):
    """The notebook is at fault."""


class NotebookInvalid(NotebookError):
    """A file that is not a valid notebook, or whose parameters cell cannot be read."""

    exit_code = 2


class ScrapError(NotebookError):
    """What the notebook glued cannot be read as scraps (duplicates, unknown versions, broken payloads)."""


class RunNotSuccessful(NotebookError):
    """A run ended otherwise than `succeeded` or `cached`; raised by those who asked for success.

    Args:
        run_id: the run's id as text.
        status: the verdict's status as text.
        reason: the verdict's reason.
    """

    def __init__(self, what: str, *, run_id: str, status: str, reason: str, hint: str | None = None) -> None:
        super().__init__(what, found=f"{status}: {reason}", hint=hint)
        self.run_id = run_id
        self.status = status
        self.reason = reason


# --- the environment's fault --------------------------------------------------------------------


class EnvironmentFault(NbprodError):
    """Disk, database, kernel or network do not work as needed."""

    exit_code = 3


class KernelUnavailable(EnvironmentFault):
    """The kernel cannot be found, launched or reached."""


class LedgerUnavailable(EnvironmentFault):
    """The ledger cannot be opened, read or written."""


class StoreUnavailable(EnvironmentFault):
    """The store cannot be opened, read or written."""


class ObjectUnreadable(StoreUnavailable):
    """One object of a store cannot be read, while the store itself can: its file's rights, or a fault of the disk."""


class StoreUnreachable(StoreUnavailable):
    """The store is on another machine, and the link to it does not hold: waiting may mend it."""


class UnsupportedVersion(EnvironmentFault):
    """A record, ledger or scrap written by a newer nbprod: refused, never guessed at."""


# --- integrity: caught by nobody below the CLI and the web ---------------------------------------


class IntegrityError(NbprodError):
    """Bytes or events are not what they claim to be."""

    exit_code = 4


class DigestMismatch(IntegrityError):
    """Bytes in the store do not have the digest they are kept under."""


class BundleInvalid(IntegrityError):
    """A file that was given as a bundle is none, or not in the form that nbprod writes."""


class ProofInvalid(IntegrityError):
    """A proof about a Merkle tree does not show what it is to show."""


class SignatureInvalid(IntegrityError):
    """No key that is trusted for it has signed these bytes."""


# --- our bug ------------------------------------------------------------------------------------


class InternalError(NbprodError):
    """A state that nbprod promised not to reach: please report it."""

    exit_code = 5
