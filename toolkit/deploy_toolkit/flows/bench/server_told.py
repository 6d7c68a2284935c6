"""What servers sum up of a model's predictions: Triton at its endpoint, a TorchServe of ours at its metrics address."""

from __future__ import annotations

import time

from deploy_clients import management
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError
from deploy_dialects.management import Statistics
from deploy_latency.stages import Told
from deploy_latency.workers import Progress
from deploy_toolkit.flows.bench.contenders import Contender
from deploy_toolkit.flows.bench.ways import OverWire

_METRICS = "metrics"  # of a launch's facts
_PATIENCE = 10.0


class Looks:
    """Two looks at a contender's server: when the warm-up is over, and when all is."""

    def __init__(self, contender: Contender) -> None:
        self._contender = contender
        self._since: float | None = None
        self._before: Statistics | None = None

    def hear(self, progress: Progress) -> None:
        """Look, if this is the first word of the measured part."""
        if self._since is None and progress.elapsed >= 0:
            begun = time.perf_counter()
            self._before = statistics(self._contender)
            self._since = progress.elapsed + time.perf_counter() - begun

    def told(self) -> Told | None:
        """Look again; give both."""
        if self._since is None or self._before is None:
            return None
        after = statistics(self._contender)
        return None if after is None else Told(self._since, self._before, after)


def statistics(contender: Contender) -> Statistics | None:
    """Ask; None where there is nobody to be asked, and where a server refuses."""
    address = _address(contender)
    if address is None or not isinstance(contender.way, OverWire):
        return None
    target = contender.way.target
    with management(address, timeout=_PATIENCE, headers=target.headers, tls=target.tls) as server:
        try:
            return server.statistics(target.endpoint.model, target.endpoint.version)
        except EndpointError:
            return None  # many have no such thing, and what they say to it differs


def _address(contender: Contender) -> str | Endpoint | None:
    if not isinstance(contender.way, OverWire):
        return None
    endpoint = contender.way.target.endpoint
    if endpoint.dialect == "oip":
        return endpoint
    # TorchServe counts predictions over gRPC, but not their time.
    told = contender.server is not None and endpoint.dialect == "torchserve" and endpoint.transport == "rest"
    return contender.server.running.launch.facts.get(_METRICS) if told and contender.server else None
