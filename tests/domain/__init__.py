"""The business by itself, without a database."""
