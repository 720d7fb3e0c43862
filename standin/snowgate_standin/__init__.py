"""A stand-in for Snowflake, for tests, demo and benchmarks: never a Snowflake server.

It answers Snowflake's driver protocol over HTTP(S) on top of fakesnow (DuckDB), and adds what
fakesnow lacks and what the safety of a gateway depends on: key-pair login, roles and secondary
roles, request identity, results in chunks on a storage listener of their own, long-running
statements, expiry and faults on demand. `README.md` says what is faithful and what is not.
"""

SERVER_VERSION = "9.99.0-standin"
"""Answered by login and CURRENT_VERSION(): a reader always sees that this is a stand-in."""
