"""Formats, sources, routes and the worker: how a trained model becomes files that predict the same."""
