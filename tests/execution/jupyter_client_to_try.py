"""What a Jupyter client does with kernels of one spec; run by test_provisioner.py as a process of its own.

python jupyter_client_to_try.py WHAT KERNEL …      prints a JSON object
"""

from __future__ import annotations

import json
import logging
import os
import queue
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

WHERE = """
import os, sys, threading
print(os.getpid(), os.getppid(), os.getcwd(), 'sklearn' in sys.modules, 'decimal' in sys.modules)
"""


def tell(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def ask(client: Any, code: str) -> dict[str, Any]:
    """Execute; return how it ended and what was printed."""
    printed: list[str] = []

    def take(message: Any) -> None:
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])

    reply = client.execute_interactive(code, timeout=30, output_hook=take)["content"]
    return {"status": reply["status"], "text": "".join(printed), "error": reply.get("ename")}


def reply_to(client: Any, request: str) -> dict[str, Any]:
    while True:
        message = client.get_shell_msg(timeout=30)
        if message["parent_header"].get("msg_id") == request:
            return dict(message["content"])


def control(client: Any, kind: str, content: dict[str, Any]) -> dict[str, Any]:
    request = client.session.msg(kind, content)
    client.control_channel.send(request)
    while True:
        message = client.get_control_msg(timeout=60)
        if message["parent_header"].get("msg_id") == request["header"]["msg_id"]:
            return dict(message["content"])


def printed(client: Any, word: str) -> bool:
    """Wait until something is printed."""
    while True:
        try:
            message = client.get_iopub_msg(timeout=30)
        except queue.Empty:
            return False
        if word in message["content"].get("text", ""):
            return True


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def server_of(kernel: int) -> int:
    """Return the parent of a kernel's keeper."""
    keeper = int(Path(f"/proc/{kernel}/stat").read_text().rpartition(")")[2].split()[1])
    return int(Path(f"/proc/{keeper}/stat").read_text().rpartition(")")[2].split()[1])


def started(kernel: str, **options: Any) -> tuple[Any, Any]:
    from jupyter_client.manager import start_new_kernel

    return start_new_kernel(kernel_name=kernel, **options)


def blocking(kernel: str) -> dict[str, Any]:
    """Execute, interrupt, restart, shut down, kill."""
    manager, client = started(kernel, cwd="/")
    told: dict[str, Any] = {"first": ask(client, WHERE)}
    pid = manager.provisioner.pid
    told["pid"] = pid
    told["command"] = command_of(pid)
    server = server_of(pid)
    told["server_threads"] = len(list(Path(f"/proc/{server}/task").iterdir()))
    told["server_links"] = [str(entry.readlink()) for entry in Path(f"/proc/{server}/fd").iterdir()]
    request = client.execute("import time\nprint('up', flush=True)\ntime.sleep(60)")
    assert printed(client, "up")
    manager.interrupt_kernel()
    told["interrupted"] = reply_to(client, request)["ename"]
    told["group"] = os.getpgid(pid) == pid
    debug = {"type": "request", "seq": 1, "command": "initialize", "arguments": {"adapterID": "python"}}
    told["debugger"] = control(client, "debug_request", debug).get("success")
    for _ in range(2):  # debugpy gives its adapter 30 s to start, which is too short on a busy machine
        if told["debugger"]:
            break
        manager.restart_kernel()
        client.wait_for_ready(timeout=60)
        told["debugger"] = control(client, "debug_request", debug).get("success")
    told["subshell"] = control(client, "create_subshell_request", {}).get("status")
    manager.restart_kernel()
    client.wait_for_ready(timeout=30)
    told["again"] = ask(client, WHERE)
    told["server_again"] = server_of(manager.provisioner.pid) == server
    ask(client, f"import atexit, subprocess\natexit.register(lambda: open({sys.argv[3]!r}, 'w').write('in order'))")
    ask(client, "subprocess.Popen(['setsid', 'sleep', '600'])")
    client.stop_channels()
    manager.shutdown_kernel()
    told["alive"] = manager.is_alive()
    told["farewell"] = Path(sys.argv[3]).read_text()
    manager, client = started(kernel)
    client.execute("import time; time.sleep(60)")
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    told["killed"] = not manager.is_alive()
    manager, client = started(kernel)
    client.execute("import os; os._exit(3)")
    while manager.is_alive():
        time.sleep(0.01)
    import asyncio

    told["exit"] = asyncio.run(manager.provisioner.poll())
    client.stop_channels()
    manager.cleanup_resources()
    return told


def tools(kernel: str) -> dict[str, Any]:
    """Have papermill and nbclient execute a notebook."""
    import nbclient
    import nbformat
    import papermill

    folder = Path(sys.argv[3])
    cells = [
        nbformat.v4.new_code_cell("n = 1", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(f"import os\nprint(n, os.getppid() != {os.getpid()})"),
        nbformat.v4.new_code_cell("open('/proc/self/cmdline').read()"),
    ]
    spec = {"name": kernel, "display_name": kernel, "language": "python"}
    book = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec})
    nbformat.write(book, folder / "in.ipynb")
    done = papermill.execute_notebook(folder / "in.ipynb", folder / "out.ipynb", {"n": 7}, progress_bar=False)
    nbclient.NotebookClient(book, kernel_name=kernel).execute()
    return {"papermill": [str(cell.outputs) for cell in done.cells], "nbclient": [str(c.outputs) for c in book.cells]}


def wait_to_be_killed(kernel: str) -> dict[str, Any]:
    manager, client = started(kernel)
    told = ask(client, "import subprocess\nprint(subprocess.Popen(['setsid', 'sleep', '600']).pid)")
    tell({"kernel": manager.provisioner.pid, "below": int(told["text"])})
    time.sleep(600)
    return {}


def leave_open(kernel: str) -> dict[str, Any]:
    """End without a word to the kernel."""
    manager, client = started(kernel)
    client.stop_channels()
    return {"kernel": manager.provisioner.pid}


def fall_back(kernel: str) -> dict[str, Any]:
    """Launch in ways that no fork can be; and where the server does not come up."""
    from nbprod.execution import head_start

    found: dict[str, Any] = {}
    for name, options in {"independent": {"independent": True}, "piped": {"stdout": subprocess.PIPE}}.items():
        manager, client = started(kernel, **options)
        found[name] = [ask(client, "1")["status"], "fork_server" in command_of(manager.provisioner.pid)]
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    for script in ("raise SystemExit(1)", "import time; time.sleep(60)"):
        path = Path(sys.argv[3])
        path.write_text(script)
        head_start._SCRIPT = path
        manager, client = started(kernel)
        found[script] = [ask(client, "1")["status"], "fork_server" in command_of(manager.provisioner.pid)]
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return found


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    tell(globals()[sys.argv[1]](sys.argv[2]))
