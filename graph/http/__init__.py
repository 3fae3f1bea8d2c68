"""The endpoint: GraphQL over HTTP, over server-sent events and over WebSockets."""
