"""What moves a load's requests, as cheaply as can be: one module per transport.

Each gives `wire(endpoint, headers, tls, requests, clock, on_done) -> Wire` (`calls`); `endpoint` is an Endpoint, `headers` and
`tls` are what `Target` holds, `requests` what a dialect has encoded. A wire belongs to the event loop in which it is opened.
"""

from __future__ import annotations

from deploy_core.table import Row, Table

WIRES = Table(
    "wire",
    {
        "rest": Row("deploy_latency.wires.rest", ("httptools",), "bench"),
        "grpc": Row("deploy_latency.wires.grpc", ("hpack",), "bench"),
    },
)
