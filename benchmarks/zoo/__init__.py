"""The zoo: real architectures × every format, ours beside the public routes."""
