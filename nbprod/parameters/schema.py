"""A notebook's schema: the parameters that its parameters cell declares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nbprod.parameters.cell import read_parameters
from nbprod.parameters.parameter import REQUIRED, Parameter, Required, Unevaluated

__all__ = ["REQUIRED", "Parameter", "Required", "Schema", "Unevaluated"]


@dataclass(frozen=True, slots=True)
class Schema:
    """What a notebook's parameters cell declares.

    Args:
        parameters: in the order of the cell.
        declared: whether there is a parameters cell at all; without one no value is taken.
        open: whether names beyond `parameters` are taken, unchecked: the cell's language has no reader here.
    """

    parameters: tuple[Parameter, ...] = ()
    declared: bool = True
    open: bool = False

    @classmethod
    def from_source(cls, source: str) -> Schema:
        """Read the source of a parameters cell, by `ast`: never by running it.

        Raises:
            NotebookInvalid: the cell is not Python.
        """
        return cls(read_parameters(source))

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names."""
        return tuple(parameter.name for parameter in self.parameters)

    def get(self, name: str) -> Parameter | None:
        """Return the parameter of this name, or None."""
        return next((parameter for parameter in self.parameters if parameter.name == name), None)

    def __iter__(self) -> Iterator[Parameter]:
        """Iterate over the parameters."""
        return iter(self.parameters)

    def __len__(self) -> int:
        """Count the parameters."""
        return len(self.parameters)

    def __contains__(self, name: object) -> bool:
        """Tell whether a parameter has this name."""
        return any(parameter.name == name for parameter in self.parameters)
