"""The embedded server as a process, started from a store."""

from __future__ import annotations
