"""The GraphQL surface and the composition root."""
