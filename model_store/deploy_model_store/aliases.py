"""aliases.json: names for versions, e.g. `{"stable": 3}`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from deploy_core.errors import TamperedError
from deploy_model_store.disk import replace_text

ALIASES_FILE = "aliases.json"


def read_aliases(home: Path) -> dict[str, int]:
    """Read the aliases of the model in the folder `home`. Raises TamperedError."""
    path = home / ALIASES_FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise TamperedError(f"{path} cannot be read: {error}", hint="remove it and set the aliases again") from error
    if not isinstance(data, dict) or not all(type(number) is int for number in data.values()):
        raise TamperedError(f"{path} holds no aliases", hint="remove it and set the aliases again")
    return data


def write_aliases(home: Path, aliases: Mapping[str, int]) -> None:
    """Write the aliases in one step; the caller holds the model's lock."""
    replace_text(home / ALIASES_FILE, json.dumps(dict(sorted(aliases.items())), indent=1) + "\n")
