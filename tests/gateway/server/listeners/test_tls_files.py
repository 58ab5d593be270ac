from __future__ import annotations

import ssl
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import serialization

from gateway.server.listeners.tls_files import TlsFiles, TlsFilesInvalid, build_context, mark_of


@pytest.fixture
def files(certificates):
    certificates.write_crl()
    return TlsFiles(certificates.options("required", crl=True))


def damage(certificates, name, content):
    if content is None:
        (certificates.folder / name).unlink()
    else:
        certificates.write(name, content)


PEM_RUBBISH = b"-----BEGIN %s-----\nAAAA\n-----END %s-----\n"
WRONG = [
    ("server.pem", None, "can't read certificate {0}: No such file or directory"),
    ("server.key", None, "can't read key {0}: No such file or directory"),
    ("ca.pem", None, "can't read CA {0}: No such file or directory"),
    ("clients.crl", None, "can't read CRL {0}: No such file or directory"),
    ("server.pem", b"x", "certificate {0} holds no 'CERTIFICATE' in PEM format"),
    ("server.key", b"x", "key {0} holds no 'PRIVATE KEY' in PEM format"),
    ("ca.pem", b"x", "CA {0} holds no 'CERTIFICATE' in PEM format"),
    ("clients.crl", b"x", "CRL {0} holds no 'X509 CRL' in PEM format"),
]


@pytest.mark.parametrize(("name", "content", "message"), WRONG)
def test_a_file_that_is_not_what_it_should_be_is_named(certificates, name, content, message):
    certificates.write_crl()
    damage(certificates, name, content)
    with pytest.raises(TlsFilesInvalid) as caught:
        TlsFiles(certificates.options("required", crl=True))
    assert str(caught.value) == message.format(certificates.folder / name)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("server.pem", b"CERTIFICATE"), ("ca.pem", b"CERTIFICATE"), ("clients.crl", b"X509 CRL")],
)
def test_rubbish_in_pem_format_is_named(certificates, name, kind):
    certificates.write_crl()
    certificates.write(name, PEM_RUBBISH % (kind, kind))
    with pytest.raises(TlsFilesInvalid, match=name):
        build_context(certificates.options("required", crl=True))


def test_a_key_of_another_certificate_is_refused(certificates):
    leaf = certificates.server_ca.issue_cert("localhost")
    certificates.write("server.key", leaf.private_key_pem.bytes())
    with pytest.raises(TlsFilesInvalid, match=r"server\.key is not the one of certificate .*pem"):
        build_context(certificates.options())


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_a_password(certificates):
    key = serialization.load_pem_private_key(
        (certificates.folder / "server.key").read_bytes(), None
    )
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    certificates.write("server.key", encrypted)
    with pytest.raises(TlsFilesInvalid, match="is encrypted; store it without a password"):
        build_context(certificates.options())


def test_a_directory_is_no_certificate(certificates):
    options = replace(certificates.options(), certificate=certificates.folder)
    with pytest.raises(TlsFilesInvalid, match="Is a directory"):
        build_context(options)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("none", ssl.CERT_NONE),
        ("optional", ssl.CERT_OPTIONAL),
        ("required", ssl.CERT_REQUIRED),
    ],
)
def test_the_context_asks_of_clients_what_the_options_say(certificates, mode, expected):
    context = build_context(certificates.options(mode))
    assert context.verify_mode is expected
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.cert_store_stats()["x509_ca"] == (0 if mode == "none" else 1)


def test_files_that_rest_are_not_read_again(files):
    context = files.context
    assert [files.look() for _ in range(3)] == [False] * 3
    assert files.context is context


@pytest.mark.parametrize("name", ["server.pem", "server.key", "ca.pem", "clients.crl"])
def test_a_change_of_any_file_gives_a_new_context_when_it_has_rested(files, certificates, name):
    context = files.context
    certificates.write(name, (certificates.folder / name).read_bytes() + b"\n")
    assert [files.look() for _ in range(3)] == [False, True, False]
    assert files.context is not context


def test_a_certificate_whose_key_comes_later_is_not_read_halfway(files, certificates, caplog):
    leaf = certificates.server_ca.issue_cert("localhost")
    certificates.write("server.pem", leaf.cert_chain_pems[0].bytes())
    assert not files.look()
    certificates.write("server.key", leaf.private_key_pem.bytes())
    assert [files.look(), files.look()] == [False, True]
    assert files.failures == 0


@pytest.mark.parametrize(("name", "content", "message"), WRONG)
def test_a_bad_file_keeps_the_old_context_and_is_told_once(
    files, certificates, caplog, name, content, message
):
    context = files.context
    damage(certificates, name, content)
    assert [files.look() for _ in range(5)] == [False] * 5
    assert files.context is context
    assert caplog.messages == [
        message.format(certificates.folder / name) + "; the files that were read before stay in use"
    ]
    assert files.failures == 1


def test_a_bad_file_that_is_mended_is_read(files, certificates):
    certificates.write("server.pem", b"x")
    files.look()
    files.look()
    certificates.write_server()
    assert [files.look(), files.look()] == [False, True]


def test_files_are_read_at_once_when_somebody_asks(files, certificates):
    context = files.context
    assert files.look(is_forced=True)
    assert files.context is not context
    certificates.write_server()
    assert files.look(is_forced=True)
    assert not files.look()


def test_a_file_is_marked_by_what_changes_with_it(certificates):
    path = certificates.folder / "server.pem"
    first = mark_of(path)
    certificates.write("server.pem", path.read_bytes())
    assert mark_of(path) != first
    path.unlink()
    assert mark_of(path) is None
