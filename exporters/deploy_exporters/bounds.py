"""The largest sizes that a file is made for, where its runtime plans memory ahead or wants a limit."""

from __future__ import annotations

from collections.abc import Mapping

from deploy_core.ranges import range_of
from deploy_exporters.steps.job import Job


def greatest(job: Job) -> dict[str, int]:
    """Give the largest size of every symbol."""
    own = job.signature.sizes(job.proofs[0][0])
    return {symbol: range_of(symbol, size, job.ranges)[1] for symbol, size in own.items()}


def remark(sizes: Mapping[str, int]) -> str:
    """Say it in the manifest."""
    told = ", ".join(f"{symbol} up to {size}" for symbol, size in sizes.items())
    return f"takes {told}; --range SYMBOL=LEAST..GREATEST sets another limit"
