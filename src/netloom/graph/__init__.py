"""`Graph` and everything that reads or writes one without running it."""
