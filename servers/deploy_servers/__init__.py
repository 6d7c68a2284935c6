"""From a stored version to a live endpoint."""
