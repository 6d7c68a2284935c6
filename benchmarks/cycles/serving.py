"""One `deploy serve` in a world of its own, and what is there of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploy_servers import SERVERS

if TYPE_CHECKING:
    from benchmarks.cycles.deaths import Death

MARK = "DEPLOY_CYCLE"
_GONE = 20.0  # seconds for what was killed to be gone
_END = 120.0  # seconds for what was asked to end


@dataclass(frozen=True)
class Way:
    """What is served how: `names` as on the command line, `options` further words."""

    server: str
    store: Path
    model: str
    where: str = "process"
    options: tuple[str, ...] = ()

    @property
    def can_swap(self) -> bool:
        """Whether the server can be given other versions while it runs."""
        return hasattr(SERVERS.load(self.server), "swap")

    @property
    def swaps_with(self) -> tuple[str, ...]:
        """What it must have been started with for that, as on the command line."""
        needed = {"enable_model_api": "true"} if self.server == "torchserve" else {}
        return tuple(word for name, value in needed.items() for word in ("--set", f"{name}={value}"))


class Serving:
    """One `deploy serve` in a world of its own."""

    def __init__(self, way: Way, death: Death) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dc-"))  # short: sockets of servers lie below it
        self.mark = uuid.uuid4().hex
        (self.folder / "tmp").mkdir()
        self.store = way.store
        name, options = way.model, (*way.options, *death.options)
        if death.swaps:
            self.store = Path(shutil.copytree(way.store, self.folder / "store"))
            name = f"{way.model}@cycle"
            self.alias(way.model, 1)
            options += way.swaps_with
        self._model = way.model
        words = ["serve", name, "--server", way.server, "--in", way.where, *options]
        self.process = subprocess.Popen(
            self._command(words), env=self._env(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self.said: list[str] = []
        self._elsewhere: set[Path] = set()

    def until_told(self, text: str) -> bool:
        """Read what it says until a line with this text; tell whether one came."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line.rstrip())
            if text in line:
                return True
        return False

    def remember(self) -> None:
        """Note where else its processes may leave something: shared memory by the folder's name, Java's by process id."""
        self._elsewhere |= {Path("/dev/shm") / f"{path.name}*" for path in (self.folder / "tmp").glob("deploy-*")}
        self._elsewhere |= {Path("/tmp/hsperfdata_*") / one.split()[1] for one in _processes(self.mark)}

    def send(self, number: signal.Signals) -> None:
        """Signal `deploy serve` itself."""
        self.process.send_signal(number)

    def kill_server(self) -> None:
        """Kill the server's own process, as the record tells it."""
        for record in self.records():
            with suppress(ProcessLookupError, TypeError, ValueError, OSError):
                os.kill(json.loads(record.read_text())["child"]["pid"], signal.SIGKILL)

    def until_stopping(self) -> None:
        """Wait until its record says that it stops, or has gone."""
        end = time.monotonic() + _GONE
        while time.monotonic() < end:
            try:
                if all(json.loads(record.read_text())["facts"].get("stopping") for record in self.records()):
                    return
            except FileNotFoundError:
                return

    def swap(self) -> None:
        """Have the store mean the other version."""
        self.alias(self._model, 2)

    def alias(self, model: str, number: int) -> None:
        """Set the alias that is followed."""
        self.deploy("store", "alias", f"{model}@{number}", "cycle", "--store", str(self.store))

    def deploy(self, *words: str) -> None:
        """Run another command in the same world."""
        done = subprocess.run(
            self._command(words, store=False), env=self._env(marked=False), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"deploy {' '.join(words)}: {done.stderr}")

    def end(self) -> None:
        """Wait for its end; kill it when there is none."""
        try:
            _, said = self.process.communicate(timeout=_END)
            self.said += said.splitlines()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            self.said.append("it did not end")

    def records(self) -> list[Path]:
        """What its state folder says that runs."""
        return sorted((self.folder / "state" / "runs").glob("*.json"))

    def left(self) -> set[str]:
        """What is there of it."""
        files = [path for place in ("tmp", "state/runs") for path in (self.folder / place).glob("*")]
        files += [path for place in self._elsewhere for path in Path("/").glob(str(place)[1:])]
        return {f"{path.parent.name}/{path.name}" for path in files} | set(_processes(self.mark))

    def settled(self, allowed: Callable[[str], bool] = lambda what: False) -> set[str]:
        """Give what is left beside what is allowed, after what was killed had time to go."""
        end = time.monotonic() + _GONE
        while (left := {what for what in self.left() if not allowed(what)}) and time.monotonic() < end:
            time.sleep(0.05)
        return left

    def close(self) -> None:
        """End what should have ended, and remove its world."""
        for process in _processes(self.mark):
            with suppress(ProcessLookupError):
                os.kill(int(process.split()[1]), signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _env(self, *, marked: bool = True) -> dict[str, str]:
        world = {"DEPLOY_STATE": str(self.folder / "state"), "TMPDIR": str(self.folder / "tmp")}
        return {**os.environ, **world, **({MARK: self.mark} if marked else {})}

    def _command(self, words: Sequence[str], *, store: bool = True) -> list[str]:
        where = ["--store", str(self.store)] if store else []
        return [sys.executable, "-m", "deploy_toolkit.cli", *words, *where]


def _processes(mark: str) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found += [f"process {folder.name} {command[:80].strip()}"] if command else []
    return found
