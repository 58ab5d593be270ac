"""The files of a TLS listener and the context made of them; read again when they change.

A context is never changed, only replaced: connections keep the one that they began with, so new
files end nobody's session, and files that are wrong leave the good context in place.
"""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from gateway.errors import PenstockError
from gateway.server.options import TlsOptions

LOG = logging.getLogger(__name__)
CERTIFICATE, KEY, CRL = b"-----BEGIN CERTIFICATE", b"PRIVATE KEY-----", b"-----BEGIN X509 CRL"
VERIFY_MODES = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}

# What tells one state of a file from the next: time of change, size, inode; None: not there.
Mark = tuple[int, int, int] | None


class TlsFilesInvalid(PenstockError):
    """The certificate, key, CA or CRL of a listener can't be used."""


class TlsFiles:
    """One listener's files: `context` is made of the last good ones."""

    def __init__(self, options: TlsOptions) -> None:
        """Read the files.

        Raises:
            TlsFilesInvalid: a file can't be read or used, or the key is another certificate's.
        """
        self._options = options
        self._loaded_marks = self._marks()
        self._seen_marks = self._loaded_marks
        self.context = build_context(options)
        self.failures = 0

    def look(self, *, is_forced: bool = False) -> bool:
        """Read the files again if they have changed and rest; True when there is a new context.

        Files are at rest when two looks in a row find them the same: who replaces a certificate and
        its key one after the other is not caught halfway. It blocks for some milliseconds.

        Args:
            is_forced: read them whether or not they have changed.
        """
        seen, now = self._seen_marks, self._marks()
        self._seen_marks = now
        if not is_forced and (now == self._loaded_marks or now != seen):
            return False
        self._loaded_marks = now
        try:
            self.context = build_context(self._options)
        except TlsFilesInvalid as error:
            self.failures += 1
            LOG.error("%s; the files that were read before stay in use", error)  # noqa: TRY400 - the message says all
            return False
        LOG.info("%s and its companions are in use from now on", self._options.certificate)
        return True

    def _marks(self) -> list[Mark]:
        return [mark_of(path) for path in self._options.paths()]


def mark_of(path: Path) -> Mark:
    """What changes when a file does."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino


def build_context(options: TlsOptions) -> ssl.SSLContext:
    """Read the files into a context for servers: TLS 1.2 and 1.3.

    Raises:
        TlsFilesInvalid: a file can't be read or used, or the key is another certificate's.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    _load_chain(context, options)
    context.verify_mode = VERIFY_MODES[options.client_certificates]
    if options.ca is not None:
        _load_trusted(context, options.ca, "CA", CERTIFICATE)
    if options.crl is not None:
        _load_trusted(context, options.crl, "CRL", CRL)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


def _load_chain(context: ssl.SSLContext, options: TlsOptions) -> None:
    check_pem(options.certificate, "certificate", CERTIFICATE)
    check_pem(options.key, "key", KEY)

    def refuse_password() -> str:
        raise TlsFilesInvalid(f"key {options.key} is encrypted; store it without a password")

    try:
        context.load_cert_chain(options.certificate, options.key, refuse_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            message = f"key {options.key} is not the one of certificate {options.certificate}"
        else:
            reason = error.reason or error
            message = f"certificate {options.certificate} with key {options.key}: {reason}"
        raise TlsFilesInvalid(message) from error


def _load_trusted(context: ssl.SSLContext, path: Path, name: str, marker: bytes) -> None:
    check_pem(path, name, marker)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise TlsFilesInvalid(f"{name} {path}: {error.reason or error}") from error


def check_pem(path: Path, name: str, marker: bytes) -> None:
    """Check that a file can be read and holds what it is for.

    Raises:
        TlsFilesInvalid: it can't, or it doesn't.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TlsFilesInvalid(f"can't read {name} {path}: {error.strerror}") from error
    if marker not in content:
        wanted = marker.decode().strip("-").removeprefix("BEGIN ")
        raise TlsFilesInvalid(f"{name} {path} holds no '{wanted}' in PEM format")
