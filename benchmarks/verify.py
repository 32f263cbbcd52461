"""Measures `nbprod verify`: bytes against sha256sum, and records without bytes; writes benchmarks/verify-results.md.

python -m benchmarks.verify [--records N] [--mebibytes N] [--rounds N] [--results FILE]
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import nbformat

from benchmarks.ledger import Figure, measured, say
from benchmarks.signed import fill_signed, one_run
from nbprod.project import Project, RunOptions
from nbprod.verify.content import objects_of

RESULTS = Path(__file__).with_name("verify-results.md")
SMALL = 1 << 16
"""Bytes of the small files, which are a twentieth of all bytes."""
LARGE = 8

KEPT = """
import os
from pathlib import Path
for number, size in enumerate(map(int, sizes.split())):
    Path(output_dir, f'{number:05}.bin').write_bytes(os.urandom(size))
"""


def sizes_of(mebibytes: int) -> list[int]:
    """Return the sizes of the artifacts: a few large ones, and small ones that are a twentieth of the bytes."""
    total = mebibytes << 20
    small = [random.Random(number).randrange(SMALL // 2, SMALL * 3 // 2) for number in range(total // 20 // SMALL)]
    return [*small, *[(total - sum(small)) // LARGE] * LARGE]


def with_bytes(root: Path, mebibytes: int, rounds: int) -> Figure:
    """Measure the bytes that verifying a run reads per second, over those of `sha256sum`; in turns, from warm pages."""
    root.mkdir(parents=True)
    (root / "pyproject.toml").write_text('[tool.nbprod]\nkeys = "keys"\n')
    cells = [nbformat.v4.new_code_cell(text) for text in ("sizes = ''\noutput_dir = 'x'", KEPT)]
    cells[0].metadata["tags"] = ["parameters"]
    spec = {"name": "python3", "display_name": "python3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec}), root / "fill.ipynb")
    project = Project.find(root, dict(os.environ))
    sizes = " ".join(map(str, sizes_of(mebibytes)))
    run = project.run_job(project.job(project.step("fill.ipynb"), {"sizes": sizes}, RunOptions()))
    assert run.status == "succeeded", run
    objects = root / ".nbprod" / "store" / "objects"
    paths = [objects / each.digest.hex[:2] / each.digest.hex[2:] for each in objects_of(run.record)]
    project.close()
    verify = [sys.executable, "-m", "nbprod", "verify", "@latest", "--seen", str(root / "seen.json")]
    ratios = []
    for number in range(rounds + 1):
        mine = _seconds(verify, root)
        theirs = _seconds(["sha256sum", *map(str, paths)], root)
        if number:  # the first warms the pages
            ratios.append(theirs / mine * 100)
    told = f"a run of {len(paths):,} objects, {mebibytes:,} MiB: rate of `nbprod verify` over that of `sha256sum`"
    return Figure(told, statistics.median(ratios), "%", _range(ratios), 80, at_least=True)


def without_bytes(root: Path, records: int, rounds: int) -> Figure:
    """Measure the records per minute that `nbprod verify --all --no-bytes` goes through."""
    project, run = one_run(root)
    say(f"making {records:,} signed records")
    fill_signed(project, run, records)
    project.close()
    verify = [sys.executable, "-m", "nbprod", "verify", "--all", "--no-bytes", "--seen", str(root / "seen.json")]
    rates = [records / _seconds(verify, root) * 60 for _ in range(rounds)]
    told = f"a ledger of {records:,} signed runs: records per minute of `nbprod verify --all --no-bytes`"
    return Figure(told, statistics.median(rates), "records/min", _range(rates), 100_000, at_least=True)


def _seconds(command: Sequence[str], folder: Path) -> float:
    begun = time.monotonic()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begun


def _range(values: Sequence[float]) -> str:
    return f"{min(values):,.0f} to {max(values):,.0f}"


def page(figures: Sequence[Figure], load: tuple[float, float]) -> str:
    """Return the whole page."""
    rows = "\n".join(figure.row() for figure in figures)
    return f"""\
# Benchmarks: verifying

Written by `make bench` on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.

- Machine: {os.cpu_count()} CPUs; {platform.system()} {platform.release()}; load average {load[0]:.1f} before and
  {load[1]:.1f} after.
- Each figure is a whole command, started anew: the interpreter's start and the imports are in it.
- Bytes: in turns with `sha256sum` over the same files, from warm pages; one twentieth of the bytes is in files of some
  64 KiB, the rest in {LARGE} large ones.
- Records: each has its own signature and provenance; made of one real run by the code that closes runs.
  `--no-bytes` reads and hashes the records and signatures themselves, and nothing that they name.
- Medians (least to most).

| what | measured | least to most | target |
| --- | --- | --- | --- |
{rows}
"""


def measure(options: argparse.Namespace, folder: Path) -> Iterator[Figure]:
    """Measure both."""
    yield with_bytes(folder / "bytes", options.mebibytes, options.rounds)
    yield without_bytes(folder / "records", options.records, options.rounds)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; return 1 if a target was missed on the full size."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--mebibytes", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--results", type=Path, help="where to write the page (default: if all was measured)")
    options = parser.parse_args(arguments)
    whole = options.records >= 20_000 and options.mebibytes >= 1024  # noqa: PLR2004 - the full size
    figures = measured(partial(measure, options), page, options.results or (RESULTS if whole else None))
    return 1 if whole and not all(figure.met for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
