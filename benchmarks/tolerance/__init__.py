"""Whether derived tolerances accuse honest arithmetic, and whether they find small faults."""
