"""Why servers do not come up: what their logs say, and what to do about it."""

from __future__ import annotations

import re

# The first that is found in the end of the log is told.
CAUSES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"Address already in use|BindException|Failed to bind|cannot listen on"),
        "another process has taken the port in the meantime: try again, or choose another",
    ),
    (
        re.compile(r"OutOfMemoryError|Cannot allocate memory|MemoryError|bad_alloc|SIGKILL"),
        "it ran out of memory: serve fewer models or workers, or give it more",
    ),
    (
        re.compile(r"No module named 'yaml'"),
        "TorchServe's workers need PyYAML: pip install 'deploy-toolkit[torchserve]'",
    ),
    (re.compile(r"No module named '(?P<name>[\w.]+)'"), "the Python module {name} is missing: install it"),
    (re.compile(r"UnsupportedClassVersionError"), "this Java is too old: install Java 17 or later, or set JAVA_HOME"),
    (re.compile(r"No space left on device"), "the disk is full: make room, or set TMPDIR to another disk"),
    (re.compile(r"Permission denied"), "a file or port may not be used: look at the log for which"),
)


def likely_cause(text: str) -> str:
    """Give the hint for the first known cause that the text shows; empty if there is none."""
    for pattern, hint in CAUSES:
        if match := pattern.search(text):
            return hint.format(**match.groupdict())
    return ""
