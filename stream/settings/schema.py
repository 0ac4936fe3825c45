"""The form of ``perennial.yaml``: the sections that every process reads for itself.

Those that travel in the log stand in ``models/configuration/definition.py``.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from models.configuration import durations
from models.events import ORIGINS, Origin
from stream.cluster.connection import SaslMechanism

Port = Annotated[int, Meta(ge=0, le=65535, description="a port, 0 to 65535 (0 takes a free one)")]
Duration = Annotated[str, Meta(pattern=durations.PATTERN, description=durations.ALLOWED)]
Servers = Annotated[
    str,
    Meta(
        pattern=r"^\s*[^\s,]+:[0-9]{1,5}(\s*,\s*[^\s,]+:[0-9]{1,5})*\s*$",
        description="host:port, several separated by commas",
    ),
]


HttpOrigin = Annotated[
    str,
    Meta(
        pattern=r"^(\*|https?://[A-Za-z0-9.\-\[\]:]+)$",
        description="* for any, or the scheme, host and port of a page, such as https://shop.example",
    ),
]


HostPort = Annotated[str, Meta(pattern=r"^[^\s,/]+:[0-9]{1,5}$", description="host:port")]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Secret(_Section, frozen=True, kw_only=True):
    """Where a secret is: never the secret itself.

    Attributes
    ----------
    env
        Name of an environment variable.
    file
        Path of a file; white space at its end does not count.
    """

    env: Annotated[str, Meta(min_length=1)] | None = None
    file: Annotated[str, Meta(min_length=1)] | None = None

    def __post_init__(self) -> None:
        """Refuse both, and neither."""
        if (self.env is None) == (self.file is None):
            raise ValueError("Expected {env: NAME} or {file: PATH}")


class WriteKeySection(Secret, frozen=True, kw_only=True):
    """A key that events are sent with.

    Attributes
    ----------
    value
        A browser key itself: it stands in a page, so it is no secret.
    kind
        ``server``: only the shop's servers know it. ``browser``: anybody can read it, so its events grant nothing.
    """

    value: Annotated[str, Meta(min_length=1)] | None = None
    kind: Literal["server", "browser"] = "server"

    def __post_init__(self) -> None:
        """Refuse none or several places, and a server key that stands in the file."""
        if [self.env, self.file, self.value].count(None) != 2:
            raise ValueError("Expected {env: NAME}, {file: PATH}, or {value: KEY, kind: browser}")
        if self.value is not None and self.kind == "server":
            raise ValueError("Expected {env: NAME} or {file: PATH} for a server key, which is a secret")


class ServerTokenSection(Secret, frozen=True, kw_only=True):
    """A token with which a server reads users over HTTP.

    Attributes
    ----------
    role
        What its holder may do. A viewer reads.
    """

    role: Literal["viewer"] = "viewer"


class TlsSection(_Section, frozen=True, kw_only=True):
    """Encrypt the connection to Kafka. ``tls: {}`` trusts the system's authorities.

    Attributes
    ----------
    ca_file, certificate_file, key_file
        PEM files: authorities to trust; the client's own certificate and its key, where the cluster asks for one.
    """

    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None


class SaslSection(_Section, frozen=True, kw_only=True):
    """Say to Kafka who we are.

    Attributes
    ----------
    mechanism, username, password
        As the cluster knows them.
    """

    mechanism: SaslMechanism
    username: Annotated[str, Meta(min_length=1)]
    password: Secret


class KafkaSection(_Section, frozen=True, kw_only=True):
    """How to reach Kafka, and what our things are called there.

    Attributes
    ----------
    servers
        ``host:port``, several separated by commas; without it: the embedded broker (``perennial broker``) on 9092.
    embedded
        Whether that is the embedded broker, which has no transactions; by default, where no servers are named.
    prefix
        Stands before every topic, group and transactional id.
    partitions
        Of the log; fixed for its life. 12, on the embedded broker 4.
    replication_factor
        Copies of each partition, of topics that we create; the cluster's default, on the embedded broker 1.
    session_timeout
        After how long a silent worker is taken for dead; 10s, on the embedded broker 6s.
    tls, sasl
        See there.
    """

    servers: Servers | None = None
    embedded: bool | None = None
    prefix: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9._-]{0,100}$", description="letters, digits, . _ -")] = (
        "perennial."
    )
    partitions: Annotated[int, Meta(ge=1, le=1000, description="a whole number, 1 to 1000")] | None = None
    replication_factor: Annotated[int, Meta(ge=1, le=32, description="a whole number, 1 to 32")] | None = None
    session_timeout: Duration | None = None
    tls: TlsSection | None = None
    sasl: SaslSection | None = None


class HttpSection(_Section, frozen=True, kw_only=True):
    """The HTTP door (``perennial collector``).

    Attributes
    ----------
    host, port
        Where it listens.
    public_url
        How it is reached from outside; unsubscribe links begin with it. By default, host and port.
    write_keys
        One of them must come with every event; by default nobody is asked.
    trust_browser_orders
        Purchases and refunds from browser keys count like those from the shop's server: they trigger transactional
        messages.
    allowed_origins
        Pages that may call the door from a browser, such as ``https://shop.example``; by default, any.
    user_token_secrets
        The shop's server signs user tokens with the first one, all verify; at least 32 bytes. By default one is made
        in the data folder.
    server_tokens
        Each may read any user; at least 16 bytes.
    workers
        ``host:port`` at which the folds answer for their users (``worker.port``); by default, those of this machine.
    """

    host: str = "127.0.0.1"
    port: Port = 8080
    public_url: Annotated[str, Meta(pattern="^https?://[^ ]+$", description="http:// or https:// ...")] | None = None
    write_keys: list[WriteKeySection] = []
    trust_browser_orders: bool = False
    allowed_origins: tuple[HttpOrigin, ...] = ("*",)
    user_token_secrets: list[Secret] = []
    server_tokens: list[ServerTokenSection] = []
    workers: list[HostPort] = []


class WorkerSection(_Section, frozen=True, kw_only=True):
    """``perennial worker``.

    Attributes
    ----------
    host, port
        Where a fold answers for the users it owns (``perennial user``); further ones of this machine take the ports
        above it.
    processes
        So many folds on this machine.
    stall_after
        A process whose input waits for so long without anything being done, although Kafka answers, ends and is started
        anew.
    """

    host: str = "127.0.0.1"
    port: Port = 8391
    processes: Annotated[int, Meta(ge=0, le=16, description="a whole number, 0 to 16")] = 1
    stall_after: Duration = "60s"


class MetricsSection(_Section, frozen=True, kw_only=True):
    """Where each process serves its metrics; ``null`` serves none.

    Attributes
    ----------
    host
        Of all of them.
    fold, deliver, learn, retrainer, collector
        Ports. A second fold of the same supervisor has the one ten above, a third the one twenty above ...
    worker
        Port of ``perennial worker`` itself: ``/metrics``, and ``/health`` and ``/ready`` of all that it runs.
    """

    host: str = "127.0.0.1"
    fold: Port | None = 9101
    deliver: Port | None = 9102
    learn: Port | None = 9103
    retrainer: Port | None = 9104
    collector: Port | None = 9105
    worker: Port | None = 9106


class RetrainerSection(_Section, frozen=True, kw_only=True):
    """``perennial retrainer``.

    Attributes
    ----------
    artifacts
        Folder of trained models, which recommenders must reach, too; ``artifacts`` in the data folder by default.
    window
        Interactions older than this are forgotten.
    every
        How often it trains.
    fresh
        Only after so many new interactions.
    interactions, users, items
        Most that are held in memory; the newest stay.
    origins
        Events of which origins it learns from.
    dimensions
        Length of an item's vector: more is better, and slower, where there is much data.
    keep
        So many models stay in the folder.
    """

    artifacts: str | None = None
    window: Duration = "90d"
    every: Duration = "10m"
    fresh: Annotated[int, Meta(ge=1)] = 200
    interactions: Annotated[int, Meta(ge=1000)] = 2_000_000
    users: Annotated[int, Meta(ge=100)] = 200_000
    items: Annotated[int, Meta(ge=100)] = 100_000
    origins: tuple[Origin, ...] = ORIGINS
    dimensions: Annotated[int, Meta(ge=4, le=1024)] = 64
    keep: Annotated[int, Meta(ge=1)] = 3


class SmtpSection(_Section, frozen=True, kw_only=True, rename={"sender": "from"}):
    """Where e-mail is handed over.

    Attributes
    ----------
    host, port
        Of the server.
    sender
        Address in the From header, ``Shop <hello@shop.example>``.
    reply_to
        Where answers go.
    username, password
        Where it asks for them.
    tls
        ``starttls``, ``tls`` from the first byte, or ``none``.
    connections
        Side by side, at most; so many messages are unknown at most when a worker is killed.
    timeout
        Of each step of the conversation.
    """

    host: Annotated[str, Meta(min_length=1)]
    port: Port = 587
    sender: Annotated[str, Meta(min_length=3)]
    reply_to: str | None = None
    username: str | None = None
    password: Secret | None = None
    tls: Literal["starttls", "tls", "none"] = "starttls"
    connections: Annotated[int, Meta(ge=1, le=200, description="a whole number, 1 to 200")] = 16
    timeout: Duration = "30s"


class TwilioSection(_Section, frozen=True, kw_only=True, rename={"sender": "from"}):
    """Where SMS are handed over.

    Attributes
    ----------
    account_sid, auth_token
        As Twilio's console shows them.
    sender
        A number in E.164, or the SID of a messaging service.
    base_url
        Of the API.
    """

    account_sid: Annotated[str, Meta(min_length=1)]
    auth_token: Secret
    sender: Annotated[str, Meta(min_length=1)]
    base_url: Annotated[str, Meta(pattern="^https?://[^ ]+$", description="http:// or https:// ...")] = (
        "https://api.twilio.com"
    )


class BreakerSection(_Section, frozen=True, kw_only=True):
    """When a provider that fails is left alone.

    Attributes
    ----------
    failures
        So many in a row; that one recipient is refused is none.
    pause
        Until one message tries again; it doubles with each failure of that.
    longest
        That it grows to.
    """

    failures: Annotated[int, Meta(ge=1, le=1000, description="a whole number, 1 to 1000")] = 5
    pause: Duration = "5s"
    longest: Duration = "2m"


class DeliverySection(_Section, frozen=True, kw_only=True):
    """Where messages go.

    Attributes
    ----------
    mode
        ``outbox``: into a folder; ``allowlist``: to the addresses of the allowlist, the rest into the folder;
        ``live``: to everybody. What is not of origin ``live`` always goes into the folder.
    outbox
        That folder; ``outbox`` in the data folder by default.
    allowlist
        E-mail addresses (``@shop.example`` for all of a domain) and phone numbers.
    smtp, twilio
        Providers.
    breaker
        See there.
    unsubscribe_secrets
        The first signs unsubscribe links, all verify; by default one is made in the data folder.
    suppression_secrets
        The first hashes addresses for new entries of the suppression list, all of them find entries; by default one is
        made in the data folder. Keep old ones: without its secret an entry cannot be found, and nothing is sent.
    """

    mode: Literal["outbox", "allowlist", "live"] = "outbox"
    outbox: str | None = None
    allowlist: list[str] = []
    smtp: SmtpSection | None = None
    twilio: TwilioSection | None = None
    breaker: BreakerSection = BreakerSection()
    unsubscribe_secrets: list[Secret] = []
    suppression_secrets: list[Secret] = []


class Sections(_Section, frozen=True, kw_only=True):
    """The sections of ``perennial.yaml`` that every process reads for itself.

    Attributes
    ----------
    version
        Of the file's form.
    folder
        Data folder: logs, outbox, artifacts.
    kafka, http, worker, metrics, retrainer, delivery
        See there.
    """

    version: Literal[1] = 1
    folder: Annotated[str, Meta(min_length=1)] = ".perennial"
    kafka: KafkaSection = KafkaSection()
    http: HttpSection = HttpSection()
    worker: WorkerSection = WorkerSection()
    metrics: MetricsSection = MetricsSection()
    retrainer: RetrainerSection = RetrainerSection()
    delivery: DeliverySection = DeliverySection()
