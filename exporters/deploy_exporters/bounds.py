"""The largest sizes that a file is made for, where its runtime plans memory ahead or wants a limit."""

from __future__ import annotations

from collections.abc import Mapping

from deploy_exporters.steps.job import Job

GREATEST = 64


def greatest(job: Job) -> dict[str, int]:
    """Give the largest size of every symbol: the end of its range, else twice the example's but at least 64."""
    own = job.signature.sizes(job.proofs[0][0])
    return {s: job.ranges[s][1] if s in job.ranges else max(2 * size, GREATEST) for s, size in own.items()}


def remark(sizes: Mapping[str, int]) -> str:
    """Say it in the manifest."""
    told = ", ".join(f"{symbol} up to {size}" for symbol, size in sizes.items())
    return f"takes {told}; --range SYMBOL=LEAST..GREATEST sets another limit"
