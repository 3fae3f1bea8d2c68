"""PostgreSQL: tables, repositories, the two doors, the event log, the embedded server."""
