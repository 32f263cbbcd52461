"""Tells what an interpreter is; prints it as JSON when run as a script.

Standard library only, syntax of Python 3.8: the text of this file is run by the kernel's interpreter, which need not
have nbprod. It says where distributions may lie, and leaves reading them to the caller.
"""

from __future__ import annotations

import json
import platform
import site
import sys
import sysconfig
from typing import Any


def describe() -> dict[str, Any]:
    """Return version, platform and places of the running interpreter.

    `path` is what `site` has made of it: PYTHONPATH, the user's folder and whatever .pth files name are in it. `site`
    are the folders whose .pth files count, there or not.
    """
    return {
        "implementation": sys.implementation.name,
        "version": platform.python_version(),
        "abi": sysconfig.get_config_var("SOABI") or sys.implementation.cache_tag,
        "platform": sysconfig.get_platform(),
        "executable": sys.executable,
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "path": [folder for folder in sys.path if folder],
        "site": site.getsitepackages() + ([site.getusersitepackages()] if site.ENABLE_USER_SITE else []),
    }


if __name__ == "__main__":
    # On a line of its own: a .pth file or sitecustomize may print, too.
    sys.stdout.write("\n" + json.dumps(describe()) + "\n")
