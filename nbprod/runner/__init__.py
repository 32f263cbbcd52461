"""Running a step: from bound parameters to a record in the ledger."""

from nbprod.runner.job import Job, Upstream
from nbprod.runner.ports import Ports
from nbprod.runner.run import Runner

__all__ = ["Job", "Ports", "Runner", "Upstream"]
