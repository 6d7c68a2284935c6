"""Images of one version, as people read of them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from deploy_toolkit.reports.terminal import contents

if TYPE_CHECKING:
    from deploy_servers.image import Baking
    from deploy_toolkit.flows.image import Baked


def baking(planned: Baking) -> RenderableType:
    """Give what would be built, as one would type it."""
    lines = [shlex.join(planned.build), "", "# Dockerfile", planned.dockerfile.rstrip()]
    lines += contents(planned.launch, "deploy/")
    return Text("\n".join([*lines, "", "# how it runs", shlex.join(planned.run)]))


def baked(result: Baked) -> RenderableType:
    """Give the image and how it runs."""
    proof = "a container of it has predicted the golden outputs" if result.proved else "not proved"
    return Text(f"{result.baking.tag} holds {result.version}: {proof}\nit runs by\n  {shlex.join(result.baking.run)}")
