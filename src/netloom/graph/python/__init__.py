"""Graphs as readable Python: `to_python` is in `module`."""
