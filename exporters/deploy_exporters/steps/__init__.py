"""The steps of routes: each one function that reads one form of a model and writes another."""
