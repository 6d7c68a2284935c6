"""TensorFlow Serving: its flags, its files, its launch."""
