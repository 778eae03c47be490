"""A store in PostgreSQL. It needs the package asyncpg: `pip install 'latehook[postgres]'`."""

from latehook.store.postgresql.store import PostgresStore

__all__ = ["PostgresStore"]
