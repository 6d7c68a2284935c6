"""The commands' options, one module each; what they do is in `flows`."""
