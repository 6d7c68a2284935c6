"""Starts and kills `deploy serve` in every way there is, and looks what is left: `python -m benchmarks.cycles --cycles 50`.

Each cycle has a state folder and a folder for temporary files of its own, and a mark in its environment by which its
processes are found. After it, no process, container, socket, temporary file and record may be left. Only where we
ourselves are killed by SIGKILL, a folder and a record may stay until `deploy stop --orphans`, and that is called then.
"""
