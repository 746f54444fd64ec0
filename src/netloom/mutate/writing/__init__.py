"""Writing the result of an edit back into an object of the user's own class: generate, run, compare; see `back.write_back`."""
