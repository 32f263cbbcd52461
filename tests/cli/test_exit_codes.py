"""The table of exit codes: complete, free of clashes, and the one in the documentation."""

import re
import signal
from pathlib import Path

import pytest

from nbprod import errors
from nbprod.cli.exit_codes import EXIT_CODES, of_signal, of_status
from nbprod.record.status import Status

PAGE = Path(__file__).parents[2] / "docs/reference/exit-codes.md"


def test_every_ending_has_a_code_of_its_own():
    bad = [of_status(status) for status in Status if not status.good]
    assert len(set(bad)) == len(bad)
    assert all(code in EXIT_CODES for code in bad)
    assert {of_status(status) for status in Status if status.good} == {0}


def test_endings_keep_clear_of_errors():
    codes = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")}
    assert codes <= set(EXIT_CODES)
    endings = {of_status(status) for status in Status} - {0, 1}
    assert not codes & endings


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_have_the_codes_that_shells_expect(number):
    assert of_signal(number) == 128 + number
    assert of_signal(number) in EXIT_CODES


def test_the_documentation_has_the_same_table():
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert {int(code): meaning for code, meaning in rows} == dict(EXIT_CODES)
