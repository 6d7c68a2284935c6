"""What a gate found: a table, a document, test cases for CI, and a page that leads to the others."""
