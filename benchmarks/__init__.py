"""Measurements of the project that are too long for a test run."""
