"""What others would build on the same tables; each is asked for the same answers."""
