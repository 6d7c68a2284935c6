"""All faults, a row each; what they are planted with is imported with it."""

from __future__ import annotations

from benchmarks.faults.fault import Fault
from benchmarks.faults.rows import in_files, in_onnx, in_raw, in_servers, in_torch

FAULTS: tuple[Fault, ...] = (*in_torch.FAULTS, *in_onnx.FAULTS, *in_files.FAULTS, *in_servers.FAULTS, *in_raw.FAULTS)
