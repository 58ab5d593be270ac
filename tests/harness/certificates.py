"""Certificates for tests: an authority, what it signs and revokes, as files of one folder."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from gateway.server import TlsOptions

NOT_BEFORE = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
NEXT_UPDATE = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)


class Certificates:
    """The files of one TLS listener, and clients that fit them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server_ca = trustme.CA(organization_name="servers")
        self.client_ca = trustme.CA(organization_name="clients")
        self.write_server()
        self.write("ca.pem", self.client_ca.cert_pem.bytes())

    def options(self, client_certificates="none", *, crl: bool = False) -> TlsOptions:
        """What the listener is told."""
        return TlsOptions(
            self.folder / "server.pem",
            self.folder / "server.key",
            None if client_certificates == "none" else self.folder / "ca.pem",
            client_certificates,
            self.folder / "clients.crl" if crl else None,
        )

    def write(self, name: str, content: bytes) -> Path:
        """Put a file in place in one step, as tools that renew certificates do."""
        path = self.folder / name
        draft = path.with_suffix(".new")
        draft.write_bytes(content)
        return draft.replace(path)

    def write_server(self) -> None:
        """A new certificate and key of the server."""
        leaf = self.server_ca.issue_cert("localhost", "127.0.0.1")
        self.write("server.pem", b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        self.write("server.key", leaf.private_key_pem.bytes())

    def write_crl(self, *revoked: trustme.LeafCert) -> None:
        """A list of revoked client certificates, signed by their authority."""
        ca = x509.load_pem_x509_certificate(self.client_ca.cert_pem.bytes())
        key = serialization.load_pem_private_key(self.client_ca.private_key_pem.bytes(), None)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(ca.subject)
            .last_update(NOT_BEFORE)
            .next_update(NEXT_UPDATE)
        )
        for leaf in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(serial_of(leaf.cert_chain_pems[0].bytes()))
                .revocation_date(NOT_BEFORE)
                .build()
            )
        crl = builder.sign(key, hashes.SHA256())
        self.write("clients.crl", crl.public_bytes(serialization.Encoding.PEM))

    def server_serial(self) -> int:
        """The serial number of the certificate that lies there now."""
        return serial_of((self.folder / "server.pem").read_bytes())

    def client_context(self, leaf: trustme.LeafCert | None = None) -> ssl.SSLContext:
        """A client that trusts the server, with a certificate of its own or without."""
        context = ssl.create_default_context()
        self.server_ca.configure_trust(context)
        if leaf is not None:
            leaf.configure_cert(context)
        return context

    def client_leaf(self, name: str = "pump-7") -> trustme.LeafCert:
        """A certificate for a client."""
        return self.client_ca.issue_cert(common_name=name)


def serial_of(certificate: bytes) -> int:
    """The serial number of a certificate, from PEM or DER."""
    load = (
        x509.load_pem_x509_certificate
        if certificate.startswith(b"-----")
        else x509.load_der_x509_certificate
    )
    return load(certificate).serial_number
