"""One operator of a file alone, or a few in a row, with their weights: a file of the same format for each.

For each format there are two modules. `onnx.part(path, tensors, values) -> bytes` gives the operators that make those
tensors, in the order of computation; what else they take are its inputs in the order of `values`, which tell dtypes and
shapes; the last tensor is its output. `onnx_answer.answer(model, inputs)` runs such a file, with nothing of ours: its text
goes into scripts that users get.
"""
