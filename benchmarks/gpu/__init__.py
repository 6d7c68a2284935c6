"""What a GPU answers, and how fast: every file and server that runs on one, against what was trained on the CPU."""
