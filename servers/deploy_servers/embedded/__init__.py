"""The server that comes with the toolkit: one process, every stored model, all dialects, one HTTP and one gRPC port."""
