"""Servers behind the same two models, under the same load in the same run: `python -m benchmarks.serving`.

The embedded server, TorchServe, Triton, MLServer and LitServe each answer a tiny linear model and a small residual network,
driven by our own generator and by wrk (REST) or h2load (gRPC), in rounds whose order is drawn anew. Answers are checked.
Whoever is no server of ours gets an environment of its own, made on demand.
"""
