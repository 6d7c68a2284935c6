"""Memory given back as soon as nobody needs it: in a process that imported a framework Python itself is in no hurry."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_PROMPT = (700, 10, 1)  # as usual, but for every second middle collection a full one


@contextmanager
def prompt_collection() -> Iterator[None]:
    """Collect cycles as they are dropped: all that exists already is left out, which makes full collections cheap.

    Python waits until there is a quarter more objects than before, of which a framework alone has a million; a few
    dropped graphs are no such quarter, even if they hold gigabytes.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.collect()  # so that the quarter is one of what is left, which is nothing
    gc.set_threshold(*_PROMPT)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
