from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from deploy_model_store import Store
from deploy_model_store.disk import locked

PUBLISHER = Path(__file__).with_name("publisher.py")


@contextmanager
def _publisher(store: Store) -> Generator[subprocess.Popen[bytes]]:
    path = os.pathsep.join(p for p in sys.path if p)
    process = subprocess.Popen(
        [sys.executable, str(PUBLISHER), str(store.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        env={**os.environ, "PYTHONPATH": path},
    )
    with process:
        yield process


def _order(process: subprocess.Popen[bytes], text: str) -> None:
    assert process.stdin
    process.stdin.write(f"{text}\n".encode())


def _report(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout
    line = process.stdout.readline()
    assert line, "the publisher is gone"
    return line.decode().strip()


def _assert_whole(store: Store) -> int:
    """Every version there is, is whole; give their number."""
    numbers = store.versions("net")
    assert numbers == list(range(1, len(numbers) + 1))
    for number in numbers[-2:]:
        version = store.version("net", number)
        assert version.verify() == ()
        assert version.golden.noise == {"y": 1e-7}
    return len(numbers)


def _assert_swept(store: Store) -> None:
    with store.staging("net") as staged:
        there = sorted(p.name for p in (store.root / ".staging").iterdir())
        assert there == sorted(["area.lock", staged.name, f"{staged.name}.lock"])


def test_killed_before_everything_that_it_does_to_the_file_system(store: Store) -> None:
    outcomes = []
    with _publisher(store) as process:
        for number in range(1, 1000):
            before = len(store.versions("net"))
            _order(process, f"step {number}")
            outcome = _report(process)
            outcomes.append((outcome, _assert_whole(store) - before))
            if outcome == "0":
                break
        assert process.stdin
        process.stdin.close()
    killed = [published for outcome, published in outcomes[:-1] if outcome == str(-signal.SIGKILL)]
    assert len(killed) == len(outcomes) - 1 >= 25
    # Killed early it leaves no version, killed late a whole one, and nothing between the two.
    assert killed == sorted(killed)
    assert set(killed) == {0, 1}
    assert outcomes[-1] == ("0", 1)
    _assert_swept(store)


def test_killed_at_random_moments(store: Store) -> None:
    moments = random.Random(0)
    clock = threading.Event()
    with _publisher(store) as process:
        assert process.stdin
        assert process.stdout
        for _ in range(30):
            before = len(store.versions("net"))
            _order(process, "loop")
            child = int(_report(process))
            for _ in range(moments.randrange(3)):
                process.stdout.read(1)
            clock.wait(moments.uniform(0, 0.02))  # the moment is what is tried, so there is nothing to wait for
            os.kill(child, signal.SIGKILL)
            reported = len(_report(process))
            assert _assert_whole(store) >= before + reported
        process.stdin.close()
    _assert_swept(store)


def test_four_publishers_at_once_get_four_versions_each_time(store: Store) -> None:
    with _publisher(store) as a, _publisher(store) as b, _publisher(store) as c, _publisher(store) as d:
        for process in (a, b, c, d):
            _order(process, "once 8")
        assert [_report(process) for process in (a, b, c, d)] == ["0"] * 4
        for process in (a, b, c, d):
            assert process.stdin
            process.stdin.close()
    assert store.versions("net") == list(range(1, 33))
    assert len({store.version("net", n).artifact("onnx").digest for n in store.versions("net")}) == 32
    _assert_swept(store)


def test_threads_of_one_process_get_versions_of_their_own(store: Store) -> None:
    sys.path.insert(0, str(PUBLISHER.parent))
    try:
        from publisher import publish  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(PUBLISHER.parent))
    threads = [threading.Thread(target=publish, args=(store,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _assert_whole(store) == 4
    _assert_swept(store)


def test_a_publisher_waits_for_the_lock(store: Store) -> None:
    with _publisher(store) as process:
        assert process.stdin
        with locked(store.root / ".locks" / "net.lock"):
            _order(process, "once 1")
            assert select.select([process.stdout], [], [], 0.3)[0] == []
            assert store.versions("net") == []
        assert _report(process) == "0"
        process.stdin.close()
    assert store.versions("net") == [1]
