"""Start or stop the project's own Prefect in the background: a server with its UI, a worker, the deployments."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from nbprod.errors import NbprodError
from nbprod.flow.embedded import Embedded

ROOT = Path(__file__).resolve().parent.parent
_BEAT = 10.0  # seconds between two signs of life


def main(word: str) -> int:
    """Start (`up`) or stop (`down`); return the exit code."""
    embedded = Embedded(ROOT)
    if word == "down":
        stopped = embedded.stop()
        print("Nothing was up." if stopped is None else f"Stopped process {stopped.pid} and all below it.")
        return 0
    if (there := embedded.find()) is None:
        print("Starting Prefect's server, the deployments of prefect.yaml and a worker; that takes up to two minutes.")
    beaten = time.monotonic()

    def beat(seconds: float) -> None:
        nonlocal beaten
        if time.monotonic() - beaten > _BEAT:
            beaten = time.monotonic()
            print(f"  … {seconds:.0f} s", flush=True)

    try:
        up = embedded.start(os.environ, waiting=beat)
    except NbprodError as error:
        print(f"It cannot start: {error}", file=sys.stderr)
        return error.exit_code
    bin_folder = Path(sys.executable).parent
    print(f"{'Up' if there is None else 'Already up'}: {up.ui} (process {up.pid})")
    print("Next: run a deployment from the UI, or from here:")
    print(f"  export PREFECT_API_URL={up.url}")
    print(f"  {bin_folder / 'prefect'} deployment run 'train/flight-delays'")
    print(f"  {bin_folder / 'nbprod'} runs")
    print("`make down` stops it; what it recorded stays.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "up"))
