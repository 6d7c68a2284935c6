"""Which processes a server's memory and CPU time are those of."""

from __future__ import annotations

import subprocess
import sys

import pytest

from deploy_toolkit.flows.bench import server_use

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells")


def test_a_container_is_its_first_process_and_all_below_it() -> None:
    below = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    with subprocess.Popen([sys.executable, "-c", below], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = server_use._contained(process.pid)
        process.communicate(b"\n")
    assert found[0] == process.pid
    assert len(found) == 2  # and nobody who only shares its control group, as this test does
    assert server_use._contained(0) == []
