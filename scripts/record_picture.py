"""Take docs/images/record.png: the record cell and the first plot of an executed `evaluate` notebook.

Runs the flight-delay pipeline on a month of flights in a copy of the project below the temporary folder, renders the
notebook as `nbprod open` does, hides the cells between, and has Chromium take the picture.

    .venv/bin/python scripts/record_picture.py
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

from PIL import Image, ImageChops

import nbprod
from nbprod.project import Project, Run
from nbprod.project.page import html_page

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "images" / "record.png"
WIDTH, HEIGHT, MARGIN = 1000, 2400, 20  # pixels
TABLES = ("flights", "outcomes", "weather", "planes")


def main() -> int:
    """Take the picture; return the exit code."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        print("Chromium is needed to take the picture.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "flights")
        _copy(project)
        page, shot = Path(folder, "record.html"), Path(folder, "record.png")
        page.write_bytes(_page(_evaluated(project)))
        size = f"--window-size={WIDTH},{HEIGHT}"
        quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars")
        command = [browser, *quiet, size, f"--screenshot={shot}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        TARGET.parent.mkdir(parents=True, exist_ok=True)
        _cropped(shot).save(TARGET, optimize=True)
    print(f"{TARGET.relative_to(ROOT)}: {TARGET.stat().st_size // 1000} kB")
    return 0


def _copy(project: Path) -> None:
    """Copy what a run needs; committed, so that the record names a commit."""
    shutil.copytree(ROOT / "notebooks", project / "notebooks", ignore=shutil.ignore_patterns("output", ".*"))
    shutil.copy(ROOT / "pyproject.toml", project)
    git = ["git", "-C", str(project), "-c", "user.name=ada", "-c", "user.email=ada@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "The flight-delay notebooks"]):
        subprocess.run([*git, *words], check=True)


def _evaluated(root: Path) -> Run:
    """Run the pipeline up to `evaluate`."""
    project = Project.find(root, os.environ)

    def run(step: str, **parameters: object) -> Run:
        print(f"running {step}", file=sys.stderr)
        return nbprod.run(step, parameters, project=project).raise_for_status()

    data = run("ingest", start=date(2013, 2, 1), end=date(2013, 2, 28))
    table = run("features", **{name: data.artifacts[f"{name}.parquet"] for name in TABLES})
    features = table.artifacts["features.parquet"]
    model = run("train", features=features, valid_days=7)
    files = {"model": model.artifacts["model.skops"], "train_metrics": model.artifacts["metrics.json"]}
    return run("evaluate", features=features, **files)


def _page(run: Run) -> bytes:
    """Return the notebook's page, all cells hidden but the record and the first plot with what stands above it."""
    cells = json.loads(run.notebook.read_bytes())["cells"]
    plot = next(place for place, cell in enumerate(cells) if _has_picture(cell))
    shown = [cells[0]["id"], *(cell["id"] for cell in cells[plot - 1 : plot + 1])]
    kept = ", ".join(f'.jp-Cell[id="cell-id={name}"]' for name in shown)
    style = (
        f"<style>.jp-Cell {{ display: none !important }} {kept} {{ display: block !important }}"
        f' .jp-Cell[id="cell-id={cells[plot]["id"]}"] .jp-Cell-inputWrapper {{ display: none !important }}</style>'
    )
    return html_page(run).replace(b"</body>", style.encode() + b"</body>")


def _has_picture(cell: dict[str, object]) -> bool:
    outputs = cell.get("outputs") or []
    return any("image/png" in output.get("data", {}) for output in outputs)  # type: ignore[attr-defined]


def _cropped(shot: Path) -> Image.Image:
    """Return the picture without the empty space below, in 256 colours."""
    picture = Image.open(shot).convert("RGB")
    blank = Image.new("RGB", picture.size, picture.getpixel((WIDTH - 1, HEIGHT - 1)))
    box = ImageChops.difference(picture, blank).getbbox() or (0, 0, WIDTH, HEIGHT)
    return picture.crop((0, 0, WIDTH, min(HEIGHT, box[3] + MARGIN))).quantize(256)


if __name__ == "__main__":
    sys.exit(main())
