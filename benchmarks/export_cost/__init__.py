"""What exporting costs beside the converters themselves: `deploy export` against a bare script, measured in pairs."""
