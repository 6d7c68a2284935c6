"""Looks at this machine: a probe is a function without arguments that gives one Finding, bounded in time."""
