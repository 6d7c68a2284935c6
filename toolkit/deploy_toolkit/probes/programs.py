"""Java, and what else is started rather than imported."""

from __future__ import annotations

import re

from deploy_servers.settings import find_program
from deploy_toolkit.probes.finding import MISSING, OK, WARNING, Finding, ask

LEAST_JAVA = 17
JAVA_HINT = "install Java 17 or later (Debian: apt-get install openjdk-17-jre-headless), or set JAVA_HOME"
_VERSION = re.compile(r'version "(?P<whole>(?:1\.)?(?P<major>\d+)[^"]*)"')


def java() -> Finding:
    """Tell which Java TorchServe would get."""
    path = find_program("java")
    if not path:
        return Finding(MISSING, "not installed; TorchServe needs it", JAVA_HINT, {"path": "", "version": ""})
    said = ask(path, "-version")
    match = _VERSION.search(said.err + said.out)
    if match is None:
        return Finding(WARNING, f"{path} does not tell its version: {said.last}", JAVA_HINT, {"path": path})
    facts = {"path": path, "version": match["whole"]}
    if int(match["major"]) < LEAST_JAVA:
        told = f"{path} is Java {match['whole']}, which is too old for TorchServe"
        return Finding(MISSING, told, JAVA_HINT, facts)
    return Finding(OK, f"{match['whole']} at {path}", facts=facts)
