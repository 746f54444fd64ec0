"""nn.Module → `Graph`, by running the module and writing down the calls it makes."""
