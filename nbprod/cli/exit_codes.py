"""What the exit codes mean, as data: the commands, the documentation and the tests read the same table."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from nbprod.errors import IntegrityError
from nbprod.record.status import Status

if TYPE_CHECKING:
    from nbprod.verify.outcome import Conclusion

__all__ = [
    "BROKEN",
    "BUG",
    "DIFFERENT",
    "EXIT_CODES",
    "INTERRUPTED",
    "NOT_REPRODUCED",
    "REFUSED",
    "of_conclusion",
    "of_many",
    "of_signal",
    "of_status",
]

REFUSED = 2
BUG = 5
BROKEN = 1
"""What `doctor` returns if something does not work."""
DIFFERENT = 1
"""What `diff --exit-code` returns if the runs differ."""

_OF_STATUS: Mapping[Status, int] = {
    Status.SUCCEEDED: 0,
    Status.CACHED: 0,
    Status.FAILED: 1,
    Status.EXITED_EARLY: 10,
    Status.TIMED_OUT: 11,
    Status.KERNEL_DIED: 12,
    Status.CANCELLED: 13,
    Status.CRASHED: 14,
}

EXIT_CODES: Mapping[int, str] = {
    0: "It worked: the run succeeded, or the command did what it was asked for.",
    1: "The run failed: a cell raised, or the contract was not met. `sweep`: runs ended badly in different ways. "
    "`doctor`: something does not work. `secrets`: something looks like a secret. "
    "`diff --exit-code`: the runs differ.",
    2: "Refused: wrong usage, unknown or ill-typed parameters, no such notebook, step or run. Nothing was started.",
    3: "The environment is at fault: the kernel, the store or the ledger cannot be used.",
    4: "Integrity: stored bytes or events are not what they claim to be.",
    5: "A bug in nbprod. Please report it with what `--debug` prints.",
    10: "The run exited early: the notebook called `sys.exit(0)`, or `exit()` with cells still to run.",
    11: "The run timed out: `--timeout`, `--cell-timeout` or `--start-timeout` was over.",
    12: "The kernel died.",
    13: "The run was cancelled by somebody else: `nbprod cancel`, Prefect.",
    14: "The run crashed: its runner vanished, and it was closed afterwards.",
    20: "`verify`: something is missing that the record names.",
    21: "`verify`: the run is not signed.",
    22: "`verify`: it fits together, and nothing that you trust vouches for it.",
    23: "`reproduce`: the run was executed again, and less came out the same than was asked for.",
    129: "The run was cancelled because the terminal was closed (SIGHUP).",
    130: "Ctrl-C (SIGINT): the run was cancelled, or the command was interrupted.",
    143: "The run was cancelled by SIGTERM.",
}

INTERRUPTED = 130
NOT_REPRODUCED = 23
"""What `reproduce` returns below the level that was asked for."""


def of_status(status: Status) -> int:
    """Return the exit code for a run that ended so."""
    return _OF_STATUS[status]


def of_many(codes: Iterable[int]) -> int:
    """Return the exit code for several runs: that of the bad ones if they are alike, else 1; 0 if there is none."""
    bad = {code for code in codes if code}
    return bad.pop() if len(bad) == 1 else int(bool(bad))


def of_conclusion(conclusion: Conclusion) -> int:
    """Return the exit code for what verifying came to."""
    from nbprod.verify.outcome import Conclusion  # noqa: PLC0415 - only where it is known already

    return {
        Conclusion.VERIFIED: 0,
        Conclusion.ALTERED: IntegrityError.exit_code,
        Conclusion.INCOMPLETE: 20,
        Conclusion.UNSIGNED: 21,
        Conclusion.CANNOT_TELL: 22,
    }[conclusion]


def of_signal(number: signal.Signals) -> int:
    """Return the exit code for a run that this process cancelled on a signal, as shells count them."""
    return 128 + number
