"""Both client libraries reach a cluster with TLS and credentials, with the options of the settings file."""

from __future__ import annotations

import datetime as dt
import gc
import ipaddress
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kafka import KafkaAdminClient
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from models.batch import Output
from stream.cluster import topics
from stream.cluster.admin import BrokerUnreachable, admin
from stream.cluster.compacted import read_compacted
from stream.cluster.connection import Connection
from stream.cluster.writer import Writer
from stream.settings.loading import load
from tests.support.brokers import HOST, ApacheKafka, free_ports

pytestmark = pytest.mark.kafka


class SecuredKafka(ApacheKafka):
    """Kafka with two additional listeners: one with credentials, and one with credentials over TLS."""

    def __init__(self, home: Path, folder: Path) -> None:
        super().__init__(home, folder)
        self.sasl_port, self.tls_port = free_ports(2)
        self.certificate = folder / "certificate.pem"
        self._keystore = folder / "keystore.pem"
        _make_certificate(self.certificate, self._keystore)

    def _properties(self) -> str:
        known = "".join(f' user_{name}="{word}"' for name, word in (("app", "hunter2"),))
        jaas = f"org.apache.kafka.common.security.plain.PlainLoginModule required{known};"
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        changed = {
            "listeners": f"SASL://{HOST}:{self.sasl_port},TLS://{HOST}:{self.tls_port},",
            "advertised.listeners": f"SASL://{HOST}:{self.sasl_port},TLS://{HOST}:{self.tls_port},",
            "listener.security.protocol.map": "SASL:SASL_PLAINTEXT,TLS:SASL_SSL,",
        }
        lines = [line.partition("=") for line in super()._properties().splitlines()]
        kept = "".join(f"{name}={changed.get(name, '')}{value}\n" for name, _, value in lines)
        added = {
            "inter.broker.listener.name": "PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._keystore),
        }
        for listener in ("sasl", "tls"):
            added[f"listener.name.{listener}.plain.sasl.jaas.config"] = jaas
            for mechanism in ("scram-sha-256", "scram-sha-512"):
                added[f"listener.name.{listener}.{mechanism}.sasl.jaas.config"] = scram
        return kept + "".join(f"{name}={value}\n" for name, value in added.items())


def _make_certificate(certificate_file: Path, keystore: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    certificate_file.write_bytes(pem)
    unencrypted = serialization.NoEncryption()
    keystore.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, unencrypted) + pem
    )


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    if not os.environ.get("KAFKA_HOME"):
        pytest.skip("KAFKA_HOME names no Kafka distribution")
    kafka = SecuredKafka(Path(os.environ["KAFKA_HOME"]), tmp_path_factory.mktemp("secured"))
    kafka.start()
    try:
        client = KafkaAdminClient(bootstrap_servers=kafka.address)
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            user = UserScramCredentialUpsertion("app", mechanism, "hunter2")
            assert client.alter_user_scram_credentials([user]) == {"app": None}
        client.close()
        yield kafka
    finally:
        kafka.stop()


def _connection(folder: Path, port: int, prefix: str, mechanism: str, *, tls: str, password: str) -> Connection:
    (folder / "password").write_text(password)
    (folder / "perennial.yaml").write_text(
        "version: 1\n"
        "kafka:\n"
        f"  servers: {HOST}:{port}\n"
        f"  prefix: {prefix}\n"
        f"  {tls}\n"
        f"  sasl: {{mechanism: {mechanism}, username: app, password: {{file: password}}}}\n"
    )
    return load(folder / "perennial.yaml", environment={}).connection()


@pytest.mark.parametrize("tls", [False, True], ids=["open", "tls"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_topics_are_created_and_records_are_written_and_read(
    secured: SecuredKafka, tmp_path: Path, mechanism: str, tls: bool
) -> None:
    connection = _connection(
        tmp_path,
        secured.tls_port if tls else secured.sasl_port,
        f"{mechanism}.{tls}.",
        mechanism,
        tls=f"tls: {{ca_file: {secured.certificate}}}" if tls else "",
        password="hunter2",
    )

    topics.create(connection, partitions=1)
    writer = Writer(connection)
    await writer.send([Output("versions", b"x", b"1")])
    await writer.close()

    assert await read_compacted(connection, "versions", 0) == {b"x": b"1"}


def _refusal(connection: Connection) -> str:
    """Return the message of the error when a connection is refused."""
    with warnings.catch_warnings():
        # kafka-python leaves the sockets of refused attempts to the garbage collector
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.raises(BrokerUnreachable) as caught, admin(connection, timeout_s=3):
            pass
        said = str(caught.value)
        del caught
        gc.collect()
    return said


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_wrong_password_is_a_clear_error(secured: SecuredKafka, tmp_path: Path, mechanism: str) -> None:
    connection = _connection(tmp_path, secured.sasl_port, "x.", mechanism, tls="", password="not the password")

    said = _refusal(connection)

    assert re.search(r"(Authentication failed|wrong username, password).*correct .* kafka\.sasl", said)
    assert "not the password" not in said


def test_a_certificate_without_a_trusted_issuer_is_refused(secured: SecuredKafka, tmp_path: Path) -> None:
    connection = _connection(tmp_path, secured.tls_port, "x.", "PLAIN", tls="tls: {}", password="hunter2")

    assert "CERTIFICATE_VERIFY_FAILED" in _refusal(connection)
