"""`deploy gate`: export, check, bench and package as one file says."""
