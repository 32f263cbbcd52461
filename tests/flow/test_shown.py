"""What Prefect's UI is given of a flow run with one notebook that goes well and one that fails, on a real server."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
)

from nbprod.flow import notebook
from nbprod.flow.server import LocalServer
from nbprod.project import Project
from nbprod.record.status import Status
from tests.processes import eventually

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.kernel,
    # Prefect leaves sockets of its clients to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
FIGURE = f"""
    from base64 import b64decode
    from IPython.display import Image, display
    display(Image(data=b64decode({PIXEL!r}), format="png"))
"""
WAITS = """
    import time
    from pathlib import Path
    print("a line while it runs")
    while not Path("go").exists():
        time.sleep(0.05)
"""
ENDED = {"good": "Completed", "bad": "Failed"}
LEAVES = """
    import scrapbook as sb
    sb.glue("sum", alpha + 2)
    Path(output_dir, "rows.txt").write_text("3")
"""


class Shown:
    """What a server has of a flow run."""

    def __init__(self, flow_run_id: Any) -> None:
        self.id = flow_run_id

    def lines(self) -> list[str]:
        with get_client(sync_client=True) as client:
            wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[self.id]))
            return [log.message for log in client.read_logs(wanted)]

    def artifacts(self, step: str) -> dict[str, str]:
        """Return the data of a step's artifacts by what their keys say after its name."""
        wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[self.id]))
        with get_client(sync_client=True) as client:
            found = client.read_artifacts(artifact_filter=wanted)
        kept = {each.key.removeprefix(step): (each.type, each.data) for each in found if each.key.startswith(step)}
        return {f"{key} {kind}": data for key, (kind, data) in kept.items()}

    def task_runs(self) -> dict[str, Any]:
        with get_client(sync_client=True) as client:
            found = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[self.id])))
        return {run.name.partition("(")[0]: run for run in found}

    def asset_events(self, url: str) -> dict[str, set[str]]:
        """Return the assets of each kind of event of this flow run."""
        body = json.dumps({"filter": {"event": {"prefix": ["prefect.asset."]}}}).encode()
        with urlopen(Request(f"{url}/events/filter", data=body, headers={"content-type": "application/json"})) as reply:
            events = json.load(reply)["events"]
        found: dict[str, set[str]] = {}
        for event in events:
            if f"prefect.flow-run.{self.id}" in {each["prefect.resource.id"] for each in event["related"]}:
                found.setdefault(event["event"], set()).add(event["resource"]["prefect.resource.id"])
        return found


def test_what_the_ui_shows(project: Path, write, prefect_server: LocalServer):
    parameters = "from pathlib import Path\nalpha: int = 1\noutput_dir: Path = Path('out')"
    write("good", parameters, [*map(textwrap.dedent, (WAITS, FIGURE, LEAVES))])
    reads = (
        "import scrapbook as sb\nsb.glue('seen', Path(rows).read_text())\nPath(output_dir, 'half.txt').write_text('x')"
    )
    write("bad", f"{parameters}\nrows: Path = Path('none')", [reads, textwrap.dedent(FIGURE), "1/0"])
    good, bad = (notebook(f"notebooks/{name}.ipynb", root=project) for name in ("good", "bad"))
    flow_run: list[Shown] = []

    @flow
    def both():
        from prefect.runtime import flow_run as runtime

        flow_run.append(Shown(runtime.id))
        [shown] = flow_run
        going = good.submit()
        assert eventually(lambda: any("a line while it runs" in line for line in shown.lines()), 60)  # as it comes
        assert eventually(lambda: shown.artifacts("good").keys() == {"-progress progress"}, 60)
        (project / "notebooks" / "go").touch()
        run = going.result()
        return run, bad(rows=run, return_state=True)

    run, _ = both(return_state=True).result(raise_on_failure=False)
    failed = Project.find(project).run("bad@latest")
    assert (run.status, failed.status) == (Status.SUCCEEDED, Status.FAILED)
    [shown] = flow_run
    assert eventually(lambda: {name: each.state.name for name, each in shown.task_runs().items()} == ENDED, 60)
    figure = f"data:image/png;base64,{PIXEL}"
    for step, ended, name, value in (("good", run, "sum", "3"), ("bad", failed, "seen", "3")):
        artifacts = shown.artifacts(step)
        assert artifacts.keys() - {"-progress progress"} == {  # a run of less than a second has no progress
            " markdown",
            "-scraps table",
            "-figure-1 image",
            "-notebook markdown",
        }, step
        url = ended.notebook.as_uri()
        assert url in artifacts["-notebook markdown"]
        assert url in shown.task_runs()[step].state.message
        assert f"`{ended.id}`" in artifacts[" markdown"]
        assert artifacts["-figure-1 image"] == figure
        [row] = json.loads(artifacts["-scraps table"])
        assert (row["name"], row["value"]) == (name, value)
    assert shown.artifacts("good")["-progress progress"] == 100.0
    assert eventually(lambda: any("ZeroDivisionError" in line for line in shown.lines()), 60)  # sent in batches
    lineage = {
        "prefect.asset.materialization.succeeded": {"nbprod://good/rows.txt"},
        "prefect.asset.referenced": {"nbprod://good/rows.txt"},  # the other one read it
        "prefect.asset.materialization.failed": {"nbprod://bad/half.txt"},
    }
    assert eventually(lambda: shown.asset_events(prefect_server.url) == lineage, 60)
