"""Ratios against a bare asyncpg floor, measured in one run: `make bench`. No test asserts a time."""
