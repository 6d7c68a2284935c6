"""Faults that really happen, planted one at a time, and honest pairs beside them: `python -m benchmarks.faults`.

Each fault sits in a file, in a server, or between client and server, while the golden data are those of the honest model.
`deploy check` is asked as a user would ask it; beside it stands what the usual check says: one random input, compared by
`numpy.allclose` with a tolerance of 1e-5.
"""
