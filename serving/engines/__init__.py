"""Engines of the server: the protocol, and one module for each engine."""
