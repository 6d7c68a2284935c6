"""Numbers for Prometheus at the path, and under the names, that TensorFlow Serving has for them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from deploy_dialects.wire import Ask, Handler, HttpReply, HttpRequest, Plane, Refused, Route
from deploy_servers.embedded.rest import RestTable
from deploy_servers.embedded.service import Tables

_COUNT = ":tensorflow:serving:request_count"


class Counts:
    """How many predictions of each model have ended in which way."""

    def __init__(self) -> None:
        self._ended: Counter[tuple[str, str]] = Counter()

    def text(self) -> str:
        """Give all counts as Prometheus reads them."""
        lines = [f"# TYPE {_COUNT} counter"]
        for (model, status), count in sorted(self._ended.items()):
            lines.append(f'{_COUNT}{{model_name="{_escaped(model)}",status="{status}"}} {count}')
        return "\n".join(lines) + "\n"

    def counting(self, handler: Handler[Any, Any]) -> Handler[Any, Any]:
        """Give a handler that does the same and is counted."""

        def handle(plane: Plane, request: Any, match: re.Match[str] | None, /) -> Any:
            outcome = handler(plane, request, match)
            if not isinstance(outcome, Ask):
                return outcome
            return replace(outcome, render=self._rendering(outcome.served.name, outcome.render))

        return handle

    def _rendering(self, model: str, render: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def rendered(outputs: Any) -> Any:
            try:
                reply = render(outputs)
            except Refused as refused:
                self._ended[model, refused.code] += 1
                raise
            self._ended[model, "OK"] += 1
            return reply

        return rendered


def monitored(tables: Tables, path: str) -> Tables:
    """Give tables whose predictions are counted, and which tell the counts at `path`."""
    counts = Counts()

    def tell(plane: Plane, request: HttpRequest, match: re.Match[str] | None, /) -> HttpReply:
        return HttpReply(200, {"content-type": "text/plain"}, counts.text().encode())

    rest = [
        RestTable([replace(route, handler=counts.counting(route.handler)) for route in table.routes], table.refuse)
        for table in tables.rest
    ]
    rpc: Mapping[str, Handler[Any, bytes]] = {
        method: counts.counting(handler) for method, handler in tables.rpc.items()
    }
    own = RestTable([Route(("GET",), re.compile(re.escape(path)), tell)], tables.rest[0].refuse)
    return Tables([own, *rest], rpc)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
