"""A runner process for tests to kill: keeps one shell command, tells the pids, then waits to be killed.

Arguments: how (`supervised` or `plain`), a folder, the shell command.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from nbprod.execution.supervisor import Supervisor


def main() -> None:
    how, folder, command = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    argv = ["/bin/sh", "-c", command]
    if how == "plain":
        child = subprocess.Popen(argv, start_new_session=True)
        pids = {"kernel": child.pid}
    else:
        supervisor = Supervisor()
        keeper = supervisor.keep(
            run_id="r",
            argv=argv,
            env=dict(os.environ),
            cwd=folder,
            log=folder / "log",
            closer=("/bin/sh", "-c", f"echo closed >> '{folder}/closed'"),
        )
        while keeper.pid is None:
            keeper.pump(1.0)
        assert supervisor._process is not None
        parent = int(Path(f"/proc/{keeper.pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
        pids = {"kernel": keeper.pid, "keeper": parent, "supervisor": supervisor._process.pid}
    print(json.dumps(pids), flush=True)  # noqa: T201
    time.sleep(60)


if __name__ == "__main__":
    main()
