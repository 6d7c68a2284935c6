"""What comparisons found, as plain data: outputs, decisions, findings, the report."""
