"""Looking into models: the tensors inside of one, with who made each and from what.

A module per way of running gives `intermediates(…) -> list[Intermediate]`: names, operators and attributes as the format
has them, values in the layout of its runtime, `layer` as the source names the place. The Predictors of `formats` and
`sources` call it; all of it runs in workers.
"""
