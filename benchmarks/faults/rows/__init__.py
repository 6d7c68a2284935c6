"""The table of faults, by what they are planted in."""
