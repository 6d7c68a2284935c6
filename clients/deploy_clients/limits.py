"""What a client takes from a server at most."""

from __future__ import annotations

MAX_ANSWER = 512 * 2**20  # bytes; gRPC's own default of 4 MiB is less than an image batch
