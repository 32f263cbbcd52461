"""The page of commands shows every command's help as it is today."""

from pathlib import Path

import pytest

from nbprod.cli.reference import help_text, missing, with_help

PAGE = (Path(__file__).parents[2] / "docs/reference/cli.md").read_text("utf-8")


def test_every_command_is_there():
    assert missing(PAGE) == []


def test_the_helps_are_those_of_today():
    assert with_help(PAGE) == PAGE, "run: python -m nbprod.cli.reference docs/reference/cli.md"


def test_a_stale_help_would_be_seen():
    stale = PAGE.replace("List runs, the latest first.", "List some runs.")
    assert with_help(stale) != stale


def test_an_unknown_command_has_no_help():
    with pytest.raises(KeyError):
        help_text("bogus")
