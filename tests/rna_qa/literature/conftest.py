"""The PostgreSQL server that several modules select from."""

from helpers.rnacentral_postgres import server

__all__ = ["server"]
