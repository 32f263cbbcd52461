"""What PostgreSQL and its driver say, as our errors: one clear paragraph, and never a password."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from nbprod.errors import InternalError, LedgerUnavailable, NbprodError

__all__ = ["Faults"]

_RIGHTS = "Grant this role the right to create and write tables there, or choose another role"
_STATES = {
    # by SQLSTATE (postgresql.org/docs/current/errcodes-appendix.html)
    "28P01": ("the password is wrong, or none was given", "Put it into ~/.pgpass, or set PGPASSWORD"),
    "28000": ("the server refuses this user from here", "Look at the server's pg_hba.conf, and at the user's name"),
    "3D000": ("there is no such database", "Make it with `createdb`, or mend the name in the address"),
    "3F000": ("there is no schema to make tables in", "Make the schema that the address's search_path names"),
    "25006": (
        "the database may only be read",
        "Use the address of the primary server, or a database that is not read-only",
    ),
    "42501": ("the role has no right to do this", _RIGHTS),
    "53100": (
        "the server's disk is full",
        "Free some space there, then try again: nothing half-written was left behind",
    ),
    "53300": ("the server has no connection left", "Raise its max_connections, or run fewer processes at once"),
    "55P03": (
        "another transaction holds what this one waits for",
        "Find out which (`pg_stat_activity`), and try again",
    ),
}
_WORDS = {
    # A connection that was never made has no SQLSTATE, but the server's or the system's words.
    "password authentication failed": "28P01",
    "no password supplied": "28P01",
    "no pg_hba.conf entry": "28000",
    "too many clients": "53300",
    "remaining connection slots": "53300",
}


class Faults:
    """Makes our error out of the driver's.

    Args:
        url: the ledger's address, without a password.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def __call__(self, error: SQLAlchemyError) -> NbprodError:
        """Return our error."""
        cause = getattr(error, "orig", None) or error
        said = " ".join(str(cause).split())
        state = _state(error)
        if state[:2] == "23":
            return InternalError("the ledger's schema refused an event or row", found=said)
        if state in _STATES:
            found, hint = _STATES[state]
            found = f"{found} ({said})"
        elif not isinstance(error, DBAPIError):
            found, hint = f"no connection was free ({said})", "Run fewer threads at once"
        elif state:
            found, hint = f"{said} ({state})", "Look at the server's log"
        else:
            found = f"the server does not answer ({said})"
            hint = "Look whether it runs and can be reached from here (`pg_isready`), and mend the address if need be"
        return LedgerUnavailable(
            f"the ledger {self._url} cannot be used",
            expected="a PostgreSQL database that this role may read and write",
            found=found,
            hint=hint,
        )

    @staticmethod
    def never_connected(error: DBAPIError) -> bool:
        """Say whether the server could not be reached: not that it refused us."""
        return type(error.orig).__name__ in ("OperationalError", "ConnectionTimeout") and not _state(error)


def _state(error: SQLAlchemyError) -> str:
    cause = getattr(error, "orig", None)
    state = getattr(cause, "sqlstate", None)
    if state:
        return str(state)
    said = str(cause)
    if 'FATAL:  database "' in said and "does not exist" in said:
        return "3D000"
    return next((state for words, state in _WORDS.items() if words in said), "")
