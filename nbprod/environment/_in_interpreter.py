"""Tells what an interpreter is; prints it as JSON when run as a script.

Standard library only, syntax of Python 3.8: the text of this file is run by the kernel's interpreter (`-I`), which
need not have nbprod. It says where distributions may lie, and leaves reading them to the caller.
"""

from __future__ import annotations

import json
import platform
import site
import sys
import sysconfig
from pathlib import Path
from typing import Any


def describe() -> dict[str, Any]:
    """Return version, platform and places of the running interpreter."""
    return {
        "implementation": sys.implementation.name,
        "version": platform.python_version(),
        "abi": sysconfig.get_config_var("SOABI") or sys.implementation.cache_tag,
        "platform": sysconfig.get_platform(),
        "executable": sys.executable,
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "site": site.getsitepackages(),
        "user_site": site.getusersitepackages() if _sees_user_site() else None,
    }


def _sees_user_site() -> bool:
    # `site.ENABLE_USER_SITE` is of no use here: -I turns it off, and it says nothing about the kernel to come.
    if sys.prefix == sys.base_prefix:
        return True
    try:
        text = Path(sys.prefix, "pyvenv.cfg").read_text("utf-8").lower().replace(" ", "")
    except OSError:
        return False
    return "include-system-site-packages=true" in text


if __name__ == "__main__":
    json.dump(describe(), sys.stdout)
