"""For how long the bytes of a step's runs are kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from nbprod.errors import SettingsError
from nbprod.parameters.duration import format_duration, setting_duration

__all__ = ["Keep"]

_LEAST = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """For how long bytes are kept.

    Args:
        longest: since the run's end, a day or more; None for ever.
    """

    longest: timedelta | None = None

    @classmethod
    def parse(cls, value: object, where: str) -> Keep:
        """Read a setting: a duration such as `"90d"`, or `"forever"`.

        Args:
            value: the setting.
            where: how to call it in messages.

        Raises:
            SettingsError: none of these, or less than a day.
        """
        if value == "forever":
            return cls()
        longest = setting_duration(value)
        if longest < _LEAST:
            raise SettingsError(
                f"{where} is wrong",
                expected='for how long to keep bytes, a day or more ("90d", "2w"), or "forever"',
                found=repr(value),
            )
        return cls(longest=longest)

    def to_json(self) -> str:
        """Return the setting that `parse` reads."""
        return "forever" if self.longest is None else format_duration(self.longest)

    def __str__(self) -> str:
        """Return it in words: `90 days`."""
        if self.longest is None:
            return "for ever"
        days, rest = divmod(self.longest, timedelta(days=1))
        if rest:
            return format_duration(self.longest)
        return "1 day" if days == 1 else f"{days} days"
