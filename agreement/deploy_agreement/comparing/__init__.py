"""Comparing what a predictor answers with what was wanted, and saying in words what is wrong."""
