"""Whether a process that was noted is gone: only where that is certain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from nbprod.runner.processes import Process, start_ticks
from tests.processes import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only a number that nobody has is certain")


def test_a_living_one_is_not_gone_and_one_that_took_its_number_is_another():
    this = Process.this()
    assert (this.here, this.gone) == (True, False)
    assert Process(**asdict(this)) == this
    assert replace(this, ticks=this.ticks - 1).gone  # who had this number before


def test_one_of_elsewhere_is_never_known_to_be_gone():
    nobody = replace(Process.this(), pid=2**22 + 1)
    assert nobody.gone  # the control
    for elsewhere in (replace(nobody, host="elsewhere"), replace(nobody, space="pid:[1]")):
        assert (elsewhere.here, elsewhere.gone) == (False, False)


def test_one_that_was_killed_is_gone_before_its_parent_asks():
    with subprocess.Popen(["sleep", "600"]) as child:
        noted = replace(Process.this(), pid=child.pid, ticks=start_ticks(child.pid))
        assert not noted.gone
        os.kill(child.pid, signal.SIGKILL)
        assert eventually(lambda: noted.gone)  # a zombie
    assert noted.gone


def test_one_of_another_user_is_not_gone():
    first = replace(Process.this(), pid=1, ticks=start_ticks(1))
    assert not first.gone
