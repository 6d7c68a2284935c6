"""What a probe gives, and how many are run at once without one that hangs holding up the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Thread
from time import monotonic
from typing import Any

from deploy_core import child
from deploy_core.child import Said
from deploy_core.errors import UnavailableError, reason

OK, WARNING, MISSING = "ok", "warning", "missing"
SECONDS = 3.0  # the most that one program may take


@dataclass(frozen=True)
class Finding:
    """What was found: `told` is for people, `facts` for whoever judges by it, `hint` what mends it."""

    state: str
    told: str
    hint: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return self.state == OK


Probe = Callable[[], Finding]


def look(probes: Mapping[str, Probe], *, seconds: float) -> dict[str, Finding]:
    """Run all at the same time; one that has not ended after so many seconds is told of and left alone."""
    found: dict[str, Finding] = {}

    def run(name: str, probe: Probe) -> None:
        found[name] = _guarded(probe)

    # Daemons: a file system or a driver that hangs cannot be interrupted, and must not hold up our own end.
    threads = [Thread(target=run, args=item, name=f"probe-{item[0]}", daemon=True) for item in probes.items()]
    end = monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - monotonic()))
    late = Finding(WARNING, f"has not answered within {seconds:g} s", "it hangs: look at it by hand")
    return {name: found.get(name, late) for name in probes}


def ask(*command: str, seconds: float = SECONDS) -> Said:
    """Run a program that tells something. Raises UnavailableError if it does not end in time."""
    return child.output(command, seconds=seconds, env={"LC_ALL": "C"})


def _guarded(probe: Probe) -> Finding:
    try:
        return probe()
    except UnavailableError as error:
        return Finding(WARNING, str(error), error.hint)
    except Exception as error:  # a program of another kind or version than those known: told, and the others go on
        return Finding(WARNING, f"could not be looked at: {reason(error)}", "look at it by hand")
