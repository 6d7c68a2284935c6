"""Inputs that are worth asking for, what is asked with them, and the properties that any good predictor has."""
