"""Whatever you deploy predicts what you trained, and here is the proof."""
