"""A project and its runs, as users hold them."""

from nbprod.project.home import Home
from nbprod.project.project import Project, RunOptions
from nbprod.project.run import ArtifactFile, Run

__all__ = ["ArtifactFile", "Home", "Project", "Run", "RunOptions"]
