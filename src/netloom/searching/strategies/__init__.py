"""The strategies, one to a file. Names and classes are listed in `netloom.searching.strategy`."""
