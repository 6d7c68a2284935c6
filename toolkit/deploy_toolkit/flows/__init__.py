"""What the commands do, one module per command: the only place where rooms are joined."""
