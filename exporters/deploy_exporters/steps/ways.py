"""Several ways to write one file: the first whose file is proved to predict what the source does."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping

from deploy_core.errors import ExportError, reason

Way = Callable[[], None]


def first_proved(ways: Mapping[str, Way], prove: Callable[[str], None], what: str, *, hint: str) -> str:
    """Write and prove until one holds; give its name. Raises ExportError with the reason of each that does not."""
    reasons = []
    for name, write in ways.items():
        try:
            write()
            prove(name)
        except Exception as error:
            traceback.print_exc()  # the worker's log has the whole story
            reasons.append(f"{name}: {reason(error)}")
        else:
            return name
    raise ExportError(f"no way to {what} works: {'; '.join(reasons)}", hint=hint)
