"""What one stand-in process is told on its command line."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """The command line, checked; times in seconds."""

    host: str
    port: int
    storage_port: int
    admin_port: int
    tls_certificate: Path | None
    tls_key: Path | None
    log: Path | None
    public_key: Path
    account: str
    user: str
    catalog_key: Path | None
    catalog_user: str
    ready_file: Path | None
    dedup: bool = True
    allow_oauth: bool = False
    inline_rows: int = 50
    chunk_rows: int = 20_000
    hold_s: float = 45.0
    token_s: float = 3600.0
    master_s: float = 14_400.0
    chunk_url_s: float = 21_600.0
    big_rows: int = 2_000_000
    vary_widths: bool = False
    usage_latency_s: float = 0.0

    @property
    def scheme(self) -> str:
        """`https` when a certificate is given, on the API and the storage listener alike."""
        return "https" if self.tls_certificate else "http"


def parse(arguments: list[str] | None = None) -> Settings:
    """Read the command line; `--help` documents every switch."""
    parser = argparse.ArgumentParser(
        prog="python -m snowgate_standin",
        description="A stand-in for Snowflake (fakesnow on DuckDB) for tests, demo and benchmarks.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="driver API; 0 picks a free one")
    parser.add_argument("--storage-port", type=int, default=0, help="result chunks; 0: free")
    parser.add_argument("--admin-port", type=int, default=0, help="faults, on loopback; 0: free")
    parser.add_argument("--tls-cert", type=Path, help="PEM chain for the API and the storage")
    parser.add_argument("--tls-key", type=Path)
    parser.add_argument("--log", type=Path, help="one JSON line per request received")
    parser.add_argument("--public-key", type=Path, required=True, help="PEM RSA key of --user")
    parser.add_argument("--account", default="CRMDEMO")
    parser.add_argument("--user", default="SVC_SNOWGATE")
    parser.add_argument("--catalog-key", type=Path, help="PEM RSA key of the catalog's user")
    parser.add_argument("--catalog-user", default="SVC_SNOWGATE_CATALOG")
    parser.add_argument("--ready-file", type=Path, help="JSON with the ports, written when ready")
    parser.add_argument("--no-dedup", action="store_true", help="a repeated requestId runs again")
    parser.add_argument("--allow-oauth", action="store_true", help="any OAUTH token logs in")
    parser.add_argument("--inline-rows", type=int, default=50)
    parser.add_argument("--chunk-rows", type=int, default=20_000)
    parser.add_argument("--hold-s", type=float, default=45.0, help="longest silence of one reply")
    parser.add_argument("--token-s", type=float, default=3600.0, help="life of a session token")
    parser.add_argument("--master-s", type=float, default=14_400.0, help="life of a master token")
    parser.add_argument("--chunk-url-s", type=float, default=21_600.0, help="life of a chunk URL")
    parser.add_argument("--big-rows", type=int, default=2_000_000, help="rows of CRM.PUBLIC.BIG")
    parser.add_argument(
        "--vary-widths", action="store_true", help="integer widths differ from chunk to chunk"
    )
    parser.add_argument(
        "--usage-latency-s", type=float, default=0.0, help="how late ACCOUNT_USAGE knows of tags"
    )
    given = parser.parse_args(arguments)
    if (given.tls_cert is None) != (given.tls_key is None):
        parser.error("--tls-cert and --tls-key are given together")
    return Settings(
        host=given.host,
        port=given.port,
        storage_port=given.storage_port,
        admin_port=given.admin_port,
        tls_certificate=given.tls_cert,
        tls_key=given.tls_key,
        log=given.log,
        public_key=given.public_key,
        account=given.account.upper(),
        user=given.user.upper(),
        catalog_key=given.catalog_key,
        catalog_user=given.catalog_user.upper(),
        ready_file=given.ready_file,
        dedup=not given.no_dedup,
        allow_oauth=given.allow_oauth,
        inline_rows=given.inline_rows,
        chunk_rows=given.chunk_rows,
        hold_s=given.hold_s,
        token_s=given.token_s,
        master_s=given.master_s,
        chunk_url_s=given.chunk_url_s,
        big_rows=given.big_rows,
        vary_widths=given.vary_widths,
        usage_latency_s=given.usage_latency_s,
    )
