"""Triton: its launch, its configuration, and the model that its python backend runs."""
