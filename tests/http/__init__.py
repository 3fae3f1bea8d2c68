"""The endpoint, by real HTTP and real sockets."""
