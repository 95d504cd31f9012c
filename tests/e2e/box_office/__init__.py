"""A box office: an application in Django with PostgreSQL, a cache in Redis, and an HTTP dependency."""
