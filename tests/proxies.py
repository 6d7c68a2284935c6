"""Proxies before a REST endpoint that do something to its answers: what happens between a client and a server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import urllib3

from deploy_core.endpoint import Endpoint

# The question, the answer, and which connection this is.
Change = Callable[[dict[str, Any], dict[str, Any], int], dict[str, Any]]


@contextmanager
def proxy(endpoint: Endpoint, change: Change) -> Generator[Endpoint]:
    """Pass all on to an endpoint, and answers to predictions as `change` gives them."""
    pool = urllib3.PoolManager(maxsize=16)
    connections: list[object] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            connections.append(self)
            self.number = len(connections)

        def do_GET(self) -> None:
            self._pass_on(b"")

        def do_POST(self) -> None:
            self._pass_on(self.rfile.read(int(self.headers["content-length"])))

        def _pass_on(self, asked: bytes) -> None:
            reply = pool.request(self.command, f"http://{endpoint.address}{self.path}", body=asked)
            body = reply.data
            if asked and reply.status == 200:
                body = json.dumps(change(json.loads(asked), json.loads(body), self.number)).encode()
            self.send_response(reply.status)
            self.send_header("content-type", reply.headers["content-type"])
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield replace(endpoint, port=server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        pool.clear()
