"""Whether an earlier run may answer for a new one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from nbprod.errors import SettingsError
from nbprod.parameters.duration import format_duration, setting_duration

__all__ = ["NO_REUSE", "Reuse", "ReuseMode"]


class ReuseMode(StrEnum):
    """How much has to be the same for an earlier run to answer."""

    NEVER = "never"
    CHECKED = "checked"
    """The request, and all that the earlier run was seen to read."""
    ALWAYS = "always"
    """The request alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reuse:
    """When an earlier run may answer.

    Args:
        mode: how much has to be the same.
        longest: how long ago it may have started; None for any time.
    """

    mode: ReuseMode = ReuseMode.CHECKED
    longest: timedelta | None = None

    @classmethod
    def parse(cls, value: object, where: str) -> Reuse:
        """Read a setting: `true`, `false`, `"always"`, or a duration such as `"10d"`.

        Args:
            value: the setting.
            where: how to call it in messages.

        Raises:
            SettingsError: none of these.
        """
        if isinstance(value, bool):
            return cls(mode=ReuseMode.CHECKED if value else ReuseMode.NEVER)
        if value == ReuseMode.ALWAYS:
            return cls(mode=ReuseMode.ALWAYS)
        longest = setting_duration(value)
        if longest <= timedelta(0):
            raise SettingsError(
                f"{where} is wrong",
                expected='true, false, "always", or how old a run may be ("10d", "12h")',
                found=repr(value),
            )
        return cls(longest=longest)

    def to_json(self) -> bool | str:
        """Return the setting that `parse` reads."""
        if self.longest is not None:
            return format_duration(self.longest)
        return self.mode.value if self.mode is ReuseMode.ALWAYS else bool(self)

    def __bool__(self) -> bool:
        """Return whether any run may answer."""
        return self.mode is not ReuseMode.NEVER

    def __str__(self) -> str:
        """Return it in words."""
        age = "" if self.longest is None else f", not older than {format_duration(self.longest)}"
        return f"{self.mode}{age}"


NO_REUSE = Reuse(mode=ReuseMode.NEVER)
"""No earlier run may answer."""
