"""The full sizes, run by `make soak`."""
