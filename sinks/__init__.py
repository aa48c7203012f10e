"""Where it rests: Postgres, pgvector and Redis. A sink satisfies a port by shape."""
