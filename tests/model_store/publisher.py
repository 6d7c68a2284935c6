"""A process that publishes, for tests that kill it: reads orders from stdin, forks for each, reports on stdout.

    step N   publish once, and be killed before the N-th thing done to the file system; reports the exit status
    loop     publish on and on; reports the process id at once, then a dot for each version
    once N   publish N versions; reports the exit status

Forking from a process that has all modules loaded costs milliseconds where a new interpreter costs half a second.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from deploy_core.artifact import Artifact
from deploy_core.signature import Signature, TensorSpec
from deploy_model_store import Golden, Record, Store

SIGNATURE = Signature((TensorSpec("x", "float32", ("batch", 6)),), (TensorSpec("y", "float32", ("batch", 1)),))
TOUCHES = ("open", "os.", "shutil.", "fcntl.", "tempfile.")


def publish(store: Store) -> None:
    with store.staging("net") as staged:
        (staged / "onnx").mkdir()
        (staged / "onnx" / "model.onnx").write_bytes(os.urandom(20_000))
        artifacts = (Artifact("onnx", staged / "onnx" / "model.onnx", SIGNATURE),)
        golden = Golden({"x": np.ones((64, 6), np.float32)}, {"y": np.ones((64, 1), np.float32)}, {"y": 1e-7}, "test")
        store.publish(staged, "net", Record("t-1", SIGNATURE, {"kind": "test"}, artifacts), golden)


def step(store: Store, number: int) -> None:
    seen = 0

    def count(event: str, _: tuple[object, ...]) -> None:
        nonlocal seen
        if event.startswith(TOUCHES):
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    publish(store)


def loop(store: Store) -> None:
    while True:
        publish(store)
        os.write(1, b".")


def forked(work: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
    return child


def main(store: Store) -> None:
    orders = {"step": step, "once": many}
    for line in iter(sys.stdin.readline, ""):
        order, *argument = line.split()
        if order == "loop":
            child = forked(partial(loop, store))
            os.write(1, f"{child}\n".encode())
            os.waitpid(child, 0)
            os.write(1, b"\n")
        else:
            child = forked(partial(orders[order], store, int(argument[0])))
            os.write(1, f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n".encode())


def many(store: Store, number: int) -> None:
    for _ in range(number):
        publish(store)


if __name__ == "__main__":
    main(Store(Path(sys.argv[1])))
