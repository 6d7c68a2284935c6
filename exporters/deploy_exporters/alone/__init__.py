"""One operator of a file alone, or a few in a row, with their weights: a file of the same format, or of the calls, for each.

For each format there are two modules. `onnx.part(path, tensors, values) -> bytes` gives the operators that make those
tensors, in the order of computation; what else they take are its inputs in the order of `values`, which tell dtypes and
shapes; the last tensor is its output. `onnx_answer.answer(model, inputs)` runs such a file, with nothing of ours: its text
goes into scripts that users get. torch and Keras do not say in a file who calls what with which arguments: their `part`
runs the whole model once more and takes note, and so it needs its `signature` and what it is `asked`, too.
"""
