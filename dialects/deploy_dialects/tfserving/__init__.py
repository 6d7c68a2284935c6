"""The dialect of TensorFlow Serving."""
