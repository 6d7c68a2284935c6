"""Starts and kills `deploy serve` in every way there is, and looks what is left: `python -m benchmarks.cycles --cycles 50`.

Each cycle has a state folder and a folder for temporary files of its own, and a mark in its environment by which its
processes are found. After it, no process, container, socket, temporary file and record may be left. Only where we
ourselves are killed by SIGKILL, a folder and a record may stay until `deploy stop --orphans`, and that is called then.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from pathlib import Path

MARK = "DEPLOY_CYCLE"
READY = " is ready"
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


class Serving:
    """One `deploy serve` in a world of its own."""

    def __init__(self, way: Way, death: Death) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dc-"))  # short: sockets of servers lie below it
        self.mark = uuid.uuid4().hex
        (self.folder / "tmp").mkdir()
        self.store = way.store
        name = way.model
        if death.swaps:
            self.store = Path(shutil.copytree(way.store, self.folder / "store"))
            name = f"{way.model}@cycle"
            self.alias(way.model, 1)
        self._model = way.model
        words = ["serve", name, "--server", way.server, "--in", way.where, *way.options, *death.options]
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


def _stop_and_kill(serving: Serving) -> None:
    serving.send(signal.SIGTERM)
    serving.until_stopping()
    serving.send(signal.SIGKILL)


def _twice(serving: Serving) -> None:
    serving.send(signal.SIGINT)
    serving.until_stopping()
    serving.send(signal.SIGINT)


def _later(serving: Serving) -> None:
    time.sleep(random.uniform(0.2, 6))  # while workers are started, models loaded, endpoints judged
    serving.send(signal.SIGKILL)


def _both(serving: Serving) -> None:
    serving.kill_server()
    serving.send(signal.SIGKILL)


def _while_restarting(serving: Serving) -> None:
    serving.kill_server()
    serving.until_told("started again")
    serving.send(signal.SIGINT)


def _while_swapping(serving: Serving, number: signal.Signals) -> None:
    serving.swap()
    serving.until_told("loading")
    serving.send(number)


def _send(number: signal.Signals) -> Callable[[Serving], None]:
    return partial(Serving.send, number=number)


@dataclass(frozen=True)
class Death:
    """What is done when a line `at` is told; `ours` says that we die by SIGKILL, and cannot tidy up."""

    name: str
    act: Callable[[Serving], None]
    at: str = READY
    ours: bool = False
    options: tuple[str, ...] = ()
    swaps: bool = False


START, WAIT = "starting ", "waiting for "
DEATHS = (
    Death("Ctrl-C", _send(signal.SIGINT)),
    Death("kill -9 of us", _send(signal.SIGKILL), ours=True),
    Death("kill -9 of the server", Serving.kill_server, options=("--no-restart",)),
    Death("kill -9 of us during the start", _send(signal.SIGKILL), WAIT, ours=True),
    Death("kill -9 of us while stopping", _stop_and_kill, ours=True),
    Death("SIGTERM", _send(signal.SIGTERM)),
    Death("SIGHUP", _send(signal.SIGHUP)),
    Death("Ctrl-C during the start", _send(signal.SIGINT), WAIT),
    Death("SIGTERM at the very start", _send(signal.SIGTERM), START),
    Death("kill -9 of us at the very start", _send(signal.SIGKILL), START, ours=True),
    Death("kill -9 of us somewhere in the start", _later, WAIT, ours=True),
    Death("kill -9 of the server during the start", Serving.kill_server, WAIT),
    Death("Ctrl-C twice", _twice),
    Death("kill -9 of us and the server", _both, ours=True),
    Death("Ctrl-C while it is started again", _while_restarting),
    Death("Ctrl-C while swapping", partial(_while_swapping, number=signal.SIGINT), options=("--follow",), swaps=True),
    Death(
        "kill -9 of us while swapping",
        partial(_while_swapping, number=signal.SIGKILL),
        ours=True,
        options=("--follow",),
        swaps=True,
    ),
)
QUICK = DEATHS[:4]
SWAPPERS = ("embedded", "triton")


@dataclass(frozen=True)
class Outcome:
    """One cycle: `left` must be empty; `orphans` is what only `deploy stop --orphans` could remove."""

    server: str
    death: Death
    left: tuple[str, ...]
    orphans: tuple[str, ...]
    seconds: float
    said: tuple[str, ...] = field(default=(), repr=False)


def run(way: Way, death: Death) -> Outcome:
    """Do one cycle."""
    began = time.monotonic()
    serving = Serving(way, death)
    containers = _containers() if way.where == "container" else frozenset()
    try:
        if serving.until_told(death.at):
            serving.remember()
            death.act(serving)
        serving.end()
        left = serving.settled(_stays if death.ours else lambda what: False)
        orphans = serving.left() if death.ours else set()
        if death.ours:
            serving.deploy("stop", "--orphans")
        left |= serving.settled()
        if way.where == "container":
            left |= {f"container {name}" for name in _containers() - containers}
        reached = any(death.at in line for line in serving.said)
        left |= set() if reached else {f"it never said {death.at!r}"}
        return Outcome(
            way.server,
            death,
            tuple(sorted(left)),
            tuple(sorted(orphans)),
            time.monotonic() - began,
            tuple(serving.said),
        )
    finally:
        serving.close()


def run_all(ways: Sequence[Way], deaths: Sequence[Death], cycles: int, *, parallel: int = 1) -> list[Outcome]:
    """Do so many cycles with each server, its deaths in turn."""
    tasks = [
        (way, death)
        for way in ways
        for death in islice(cycle([one for one in deaths if not one.swaps or way.server in SWAPPERS]), cycles)
    ]
    with ThreadPoolExecutor(parallel) as threads:
        return list(threads.map(lambda task: _told(run(*task)), tasks))


def _told(outcome: Outcome) -> Outcome:
    print(f"{outcome.server}: {outcome.death.name}: {', '.join(outcome.left) or 'nothing'} left", file=sys.stderr)
    return outcome


def table(outcomes: Iterable[Outcome]) -> str:
    """Give a row for each server and death."""
    rows = defaultdict(list)
    for outcome in outcomes:
        rows[outcome.server, outcome.death.name].append(outcome)
    lines = ["| server | death | cycles | left over | until `stop --orphans` | seconds |", "|---|---|---|---|---|---|"]
    for (server, death), found in rows.items():
        left = sorted({what for one in found for what in one.left})
        orphans = sorted({what.partition("/")[0] for one in found for what in one.orphans})
        seconds = sum(one.seconds for one in found) / len(found)
        lines.append(
            f"| {server} | {death} | {len(found)} | {', '.join(left) or 'nothing'} |"
            f" {', '.join(orphans) or '–'} | {seconds:.1f} |"
        )
    return "\n".join(lines)


def _stays(what: str) -> bool:
    """Tell what nobody can remove when we are killed: the folder of the run, and its record."""
    return what.startswith(("tmp/deploy-", "runs/", "shm/deploy-"))


def _processes(mark: str) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found += [f"process {folder.name} {command[:80].strip()}"] if command else []
    return found


def _containers() -> frozenset[str]:
    words = ["docker", "ps", "--all", "--filter", "label=deploy-toolkit", "--format", "{{.Names}}"]
    return frozenset(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())


def _hear_all() -> None:
    """Have the servers hear Ctrl-C and SIGHUP, which they would ignore if we do, as `nohup` and a shell's `&` have it."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *told: None)  # we go on, and what is started begins with the usual


def _exported(folder: Path) -> Path:
    """A store with two versions of the smallest example, in all formats that servers want."""
    source = Path(__file__).parents[1] / "examples" / "simplenet.py"
    words = ["export", f"{source}:torch_net", "--to", "onnx,mar,savedmodel", "--name", "simplenet"]
    for _ in range(2):
        command = [sys.executable, "-m", "deploy_toolkit.cli", *words, "--store", str(folder)]
        subprocess.run(command, check=True)
    return folder


def main() -> int:
    """Print the table; give 1 if anything was left over."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cycles", description=__doc__)
    parser.add_argument("--cycles", type=int, default=50, help="for each server")
    parser.add_argument("--server", default="embedded", help="several with commas")
    parser.add_argument("--in", dest="where", choices=("process", "container"), default="process")
    parser.add_argument("--store", type=Path, help="default: one is made from an example")
    parser.add_argument("--model", default="simplenet")
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="one cycle of the most important deaths")
    given = parser.parse_args()
    _hear_all()
    with tempfile.TemporaryDirectory(prefix="dc-store-") as folder:
        store = given.store or _exported(Path(folder))
        ways = [Way(server, store, given.model, given.where) for server in given.server.split(",")]
        deaths = QUICK if given.quick else DEATHS
        outcomes = run_all(ways, deaths, len(QUICK) if given.quick else given.cycles, parallel=given.parallel)
    print(table(outcomes))
    bad = [outcome for outcome in outcomes if outcome.left]
    for outcome in bad:
        print(f"\n{outcome.server}, {outcome.death.name}: {', '.join(outcome.left)}", *outcome.said, sep="\n  ")
    print(f"\n{len(outcomes)} cycles, {len(bad)} left something over")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
