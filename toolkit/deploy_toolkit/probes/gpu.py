"""NVIDIA's GPUs and their driver, by nvidia-smi; what is installed for CUDA, without importing it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from deploy_core.child import Said
from deploy_toolkit.probes.finding import MISSING, OK, WARNING, Finding, ask
from deploy_toolkit.probes.python import cuda_of_torch, has_package, numbers

_QUERY = "--query-gpu=index,name,memory.total,memory.free,driver_version"
# Newer drivers write "CUDA UMD Version".
_CUDA = re.compile(r"CUDA(?: \w+)? Version\s*:\s*(\d+\.\d+)")
_DRIVER = Path("/proc/driver/nvidia/version")


def gpus() -> Finding:
    """Tell which GPUs there are, and how much of their memory is free."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return _without_program("NVIDIA GPU")
    said = ask(program, _QUERY, "--format=csv,noheader,nounits")
    found = [_gpu(line) for line in said.out.splitlines() if line.count(",") >= 4]
    if said.code or not found:
        return Finding(MISSING, f"nvidia-smi finds no GPU: {said.last}", "is its driver loaded? `nvidia-smi` says more")
    told = "; ".join(f"{one['index']}: {one['name']}, {_memory(one)}" for one in found)
    return Finding(OK, told, facts={"gpus": found})


def driver() -> Finding:
    """Tell how new a CUDA the driver runs, and whether what is installed here wants a newer one, or none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return _without_program("NVIDIA driver")
    said = ask(program)
    have = _found(_CUDA, said)
    torch, onnx = cuda_of_torch(), has_package("onnxruntime-gpu")
    facts = {"cuda": have, "torch": torch, "onnxruntime": onnx}
    if said.code or not have:
        return Finding(MISSING, f"nvidia-smi tells no CUDA version: {said.last}", "is its driver loaded?", facts)
    told = f"the driver runs CUDA up to {have}; torch is built for {torch or 'the CPU'}, "
    told += f"ONNX Runtime for {'CUDA' if onnx else 'the CPU'}"
    if numbers(torch)[:1] > numbers(have)[:1]:
        return Finding(WARNING, told, "bring the driver up to date, or install a torch for an older CUDA", facts)
    return Finding(OK, told, facts=facts)


def _without_program(what: str) -> Finding:
    if _DRIVER.is_file():
        told = f"a driver is loaded ({_DRIVER}), but there is no nvidia-smi on the PATH"
        return Finding(WARNING, told, "put its folder on the PATH: nothing else tells what there is")
    return Finding(
        MISSING, f"no {what} (no nvidia-smi on the PATH)", "nothing needs one: everything runs with --device cpu"
    )


def _gpu(line: str) -> dict[str, Any]:
    index, name, total, free, version = (part.strip() for part in line.split(",", 4))
    return {"index": int(index), "name": name, "mib": _mib(total), "free_mib": _mib(free), "driver": version}


def _mib(text: str) -> int | None:
    return int(text) if text.isdigit() else None  # [N/A] where a GPU shares the machine's memory


def _memory(gpu: dict[str, Any]) -> str:
    sizes = (
        f"{gpu['free_mib']:,} of {gpu['mib']:,} MiB free"
        if gpu["mib"] and gpu["free_mib"] is not None
        else "memory unknown"
    )
    return f"{sizes}, driver {gpu['driver']}"


def _found(pattern: re.Pattern[str], said: Said) -> str:
    match = pattern.search(said.out)
    return match[1] if match else ""
