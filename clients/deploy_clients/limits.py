"""What a client takes from a server at most, and sends to it."""

from __future__ import annotations

# Bytes; gRPC's own default of 4 MiB is less than an image batch, and none at all would let a server fill our memory.
MAX_ANSWER = 512 * 2**20
MAX_REQUEST = 512 * 2**20
MAX_HEAD = 64 * 2**10  # bytes of status line and headers
MAX_HEADERS = 100
CONNECTIONS = 16  # kept open at most; more at a time still get connections, which are closed afterwards
LONGEST = 86_400.0  # seconds for one request; sockets take no more than 24 days
