"""The command line: each command parses, calls the public functions, and prints."""
