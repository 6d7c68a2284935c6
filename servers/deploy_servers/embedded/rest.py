"""REST requests to the dialects' routes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

from deploy_dialects.server_timing import ASKED, TOLD
from deploy_dialects.wire import HttpReply, HttpRequest, Refused, Route
from deploy_servers.embedded.desk import Desk
from deploy_servers.embedded.http import Respond, plain_error
from deploy_servers.embedded.timing import Timing


@dataclass(frozen=True)
class RestTable:
    """One dialect's routes, and how it says no."""

    routes: Sequence[Route]
    refuse: Callable[[str, str], HttpReply]


class RestService:
    """Finds the route of a request and has it answered."""

    def __init__(self, desk: Desk, tables: Sequence[RestTable]) -> None:
        self._desk = desk
        self._tables = tables
        self._find = lru_cache(1024)(self._find_uncached)

    def __call__(self, request: HttpRequest, respond: Respond) -> None:
        """Answer one request by calling `respond` once."""
        timing = None
        if ASKED in request.headers:
            timing = Timing()
            respond = partial(_told, timing, respond)
        path = request.target.partition("?")[0]
        found = self._find(path) if len(path) < 512 else self._find_uncached(path)
        for table, route, match in found:
            if request.method in route.methods:
                self._desk.ask(route.handler, request, match, respond, partial(_refuse, table, respond), timing)
                return
        respond(_not_found(request.method, path, [route for _, route, _ in found]))

    def _find_uncached(self, path: str) -> list[tuple[RestTable, Route, re.Match[str]]]:
        return [
            (table, route, match)
            for table in self._tables
            for route in table.routes
            if (match := route.path.fullmatch(path)) is not None
        ]


def _told(timing: Timing, respond: Respond, reply: HttpReply) -> None:
    text = timing.text()
    respond(HttpReply(reply.status, {**reply.headers, TOLD: text}, reply.body) if text else reply)


def _refuse(table: RestTable, respond: Respond, refused: Refused) -> None:
    respond(table.refuse(refused.code, refused.message))


def _not_found(method: str, path: str, routes: Sequence[Route]) -> HttpReply:
    if not routes:
        return plain_error(404, f"nothing is served at {path[:200]}")
    allowed = ", ".join(sorted({method for route in routes for method in route.methods}))
    reply = plain_error(405, f"{method} is not allowed here; {allowed} is")
    return HttpReply(405, {**reply.headers, "allow": allowed}, reply.body)
