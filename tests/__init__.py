"""Everything is tested through the real thing: PostgreSQL, sockets, files."""
