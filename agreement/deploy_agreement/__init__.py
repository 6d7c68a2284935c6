"""Whether two predictors predict the same: inputs, noise, tolerance, comparison."""
