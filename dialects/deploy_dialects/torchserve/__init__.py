"""The dialect of TorchServe, with the bodies that our own handler in a `.mar` understands."""
