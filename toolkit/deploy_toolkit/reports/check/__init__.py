"""What `deploy check` found, for people, for machines and for the programs that draw it."""
