"""The nouns that all rooms share: tensors, signatures, artifacts, endpoints, predictors, errors; and the one place that starts processes."""
