"""What a format lets its user choose: `--set FORMAT.OPTION=VALUE`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deploy_core.errors import UsageError


@dataclass(frozen=True)
class Option:
    """One option: `help` in one line, the `values` that it may have (any, if none are told), the `only` variant it is for."""

    help: str
    values: tuple[str, ...] = ()
    only: str = ""


Options = Mapping[str, Option]


def check(name: str, known: Options, chosen: Mapping[str, str], targets: tuple[str, ...]) -> None:
    """Raise UsageError for an option or a value that format `name` does not have, and for one of no variant in `targets`."""
    for option, value in chosen.items():
        if option not in known:
            hint = f"it has {', '.join(known)}" if known else "it has no options"
            raise UsageError(f"format {name} has no option {option!r}", hint=hint)
        allowed, only = known[option].values, known[option].only
        if only and f"{name}-{only}" not in targets:
            raise UsageError(f"option {name}.{option} is for {name}-{only}, which is not exported", hint="leave it out")
        if allowed and value not in allowed:
            raise UsageError(f"{name}.{option} is {value!r}", hint=f"it is {' or '.join(allowed)}, or left out")
