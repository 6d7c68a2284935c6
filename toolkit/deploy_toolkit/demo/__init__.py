"""The example models: really trained, and small."""
