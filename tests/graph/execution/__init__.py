"""Planned execution, held against graphql-core."""
