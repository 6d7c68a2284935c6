"""What the three dialects say on the wire, both directions, with no I/O."""
