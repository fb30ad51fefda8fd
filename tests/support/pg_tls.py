"""A real PostgreSQL as a phone system has it: TLS with a certificate of its own, SCRAM alone, on a loopback port."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.support.certificates import certificate
from tests.support.postgres import Postgres


@contextmanager
def tls_server(*, durable: bool = False) -> Iterator[tuple[Postgres, int, str]]:
    """The server, its port and its certificate. It holds nothing yet. `durable`: a commit waits for the disk."""
    pem, key = certificate()
    made = Postgres()
    folder = made._folder
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made.start()
    (folder / "cert.pem").write_text(pem)
    (folder / "key.pem").write_text(key)
    (folder / "key.pem").chmod(0o600)
    with psycopg.connect(made.url("postgres", "owner"), autocommit=True) as connection:
        for name, value in {
            "listen_addresses": "127.0.0.1", "port": str(port), "ssl": "on",
            "ssl_cert_file": str(folder / "cert.pem"), "ssl_key_file": str(folder / "key.pem"),
        }.items():  # fmt: skip
            connection.execute(f"alter system set {name} = '{value}'".encode())
    hba = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
    (folder / "data" / "pg_hba.conf").write_text(hba)
    pg_ctl = [*made._prefix, str(made._bin / "pg_ctl"), "-D", str(folder / "data"), "-m", "fast"]
    subprocess.run([*pg_ctl, "stop"], check=True, capture_output=True)
    subprocess.run(
        [*pg_ctl, "-w", "-l", str(folder / "log"), "-o", f"-k {folder} -c fsync={'on' if durable else 'off'}", "start"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield made, port, pem
    finally:
        subprocess.run([*pg_ctl, "stop"], check=True, capture_output=True)
        made.stop()
