"""Conversations: who talks with the office, what was said, and the runs that answer."""
