"""One operator of a file alone, or a few in a row, with their weights: a file of the same format for each.

A module per format gives `part(path, tensors, values) -> bytes`: the operators that make those tensors, in the order of
computation; what else they take are its inputs, whose `values` tell dtypes and shapes; the last tensor is its output.
"""
