"""The command line. `nbprod.cli:main` is the console script."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line with this process's arguments and exit."""
    try:
        from nbprod.cli.app import nbprod  # noqa: PLC0415 - whoever imports the package may want its tables only
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    nbprod.main(prog_name="nbprod")
