"""The form of ``perennial.yaml``: the sections that every process reads for itself.

The sections that travel in the log are in ``models/configuration/definition.py``.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from models.events import ORIGINS, Channel, Origin
from stream.cluster.connection import SaslMechanism
from stream.settings.costs import CostSection
from stream.settings.fields import Duration, Port, Secret
from stream.settings.http_schema import HttpSection
from stream.settings.mail_schema import SmtpSection
from stream.settings.outbound_schema import OutboundSection
from stream.settings.push_schema import PushSection
from stream.settings.rates import RateSection
from stream.settings.webhook_schema import EndpointName, WebhookSection

Servers = Annotated[
    str,
    Meta(
        pattern=r"^\s*[^\s,]+:[0-9]{1,5}(\s*,\s*[^\s,]+:[0-9]{1,5})*\s*$",
        description="host:port, several separated by commas",
    ),
]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class TlsSection(_Section, frozen=True, kw_only=True):
    """Encryption of the connection to Kafka. ``tls: {}`` trusts the system's authorities.

    Attributes
    ----------
    ca_file
        PEM file with the authorities to trust.
    certificate_file, key_file
        PEM files with the client's certificate and its key, if the cluster asks for one.
    """

    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None


class SaslSection(_Section, frozen=True, kw_only=True):
    """Credentials for Kafka.

    Attributes
    ----------
    mechanism, username, password
        The same as in the configuration of the cluster.
    """

    mechanism: SaslMechanism
    username: Annotated[str, Meta(min_length=1)]
    password: Secret


class KafkaSection(_Section, frozen=True, kw_only=True):
    """The connection to Kafka, and the names and sizes of our topics there.

    Attributes
    ----------
    servers
        ``host:port``, several separated by commas. By default the embedded broker (``perennial broker``) on port 9092.
    embedded
        Whether the broker is the embedded one, which has no transactions. By default it is, if no servers are named.
    prefix
        Beginning of the name of every topic, group and transactional id.
    partitions
        Number of partitions of the log, which never changes. 12 by default, on the embedded broker 4.
    replication_factor
        Copies of each partition of the topics that we create. By default the cluster's own; on the embedded broker 1.
    session_timeout
        How long a worker may be silent before it counts as dead. 10s by default, on the embedded broker 6s.
    tls, sasl
        Encryption and credentials; by default none.
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


class WorkerSection(_Section, frozen=True, kw_only=True):
    """``perennial worker``.

    Attributes
    ----------
    host, port
        Address at which a fold answers for the users it owns (``perennial user``). Further folds of this machine take
        the ports above it.
    processes
        Number of folds on this machine.
    stall_after
        How long a process may do nothing although its input waits and Kafka answers. Then it is started again.
    """

    host: str = "127.0.0.1"
    port: Port = 8391
    processes: Annotated[int, Meta(ge=0, le=16, description="a whole number, 0 to 16")] = 1
    stall_after: Duration = "60s"


class MetricsSection(_Section, frozen=True, kw_only=True):
    """Ports at which the processes serve their metrics; ``null`` serves none.

    Attributes
    ----------
    host
        Host of all of them.
    fold, deliver, learn, retrainer, collector
        Port of each process. A supervisor gives a second process of the same role the port ten above, and so on.
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
        Folder of trained models, which the folds must reach, too. By default ``artifacts`` in the data folder.
    window
        Maximum age of an interaction; older ones are forgotten.
    every
        How often it trains.
    fresh
        Minimum number of new interactions before it trains again.
    interactions, users, items
        Maximum number of each in memory; the newest are kept.
    origins
        Origins of the events that it learns from.
    dimensions
        Length of an item's vector. With much data, a longer one is better and slower.
    keep
        Number of models that stay in the folder.
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


class TwilioSection(_Section, frozen=True, kw_only=True, rename={"sender": "from"}):
    """The account at Twilio, which takes SMS.

    Attributes
    ----------
    account_sid, auth_token
        The values that Twilio's console shows.
    sender
        A number in E.164, or the SID of a messaging service.
    base_url
        URL of the API.
    """

    account_sid: Annotated[str, Meta(min_length=1)]
    auth_token: Secret
    sender: Annotated[str, Meta(min_length=1)]
    base_url: Annotated[str, Meta(pattern="^https?://[^ ]+$", description="http:// or https:// ...")] = (
        "https://api.twilio.com"
    )


class BreakerSection(_Section, frozen=True, kw_only=True):
    """Limits after which a provider that fails gets a pause.

    Attributes
    ----------
    failures
        Number of consecutive failures that begin a pause. The refusal of one recipient is not a failure.
    pause
        Length of the first pause. After a pause one message is tried; if it fails, the next pause is twice as long.
    longest
        Maximum length of a pause.
    """

    failures: Annotated[int, Meta(ge=1, le=1000, description="a whole number, 1 to 1000")] = 5
    pause: Duration = "5s"
    longest: Duration = "2m"


class DeliverySection(_Section, frozen=True, kw_only=True):
    """Destinations of messages.

    Attributes
    ----------
    mode
        ``outbox``: into a folder; ``allowlist``: to the addresses of the allowlist, all others into the folder;
        ``live``: to everyone. A message that is not of origin ``live`` always goes into the folder.
    outbox
        Folder for the messages that go to no provider. By default ``outbox`` in the data folder.
    allowlist
        E-mail addresses (``@shop.example`` for all of a domain) and phone numbers.
    smtp, twilio, push, webhooks, breaker, rates, costs
        Providers, pauses of a provider that fails, and by channel the maximum rate of calls and the cost of a message
        for ``perennial report``.
    unsubscribe_scope
        What one click on an unsubscribe link ends: all marketing on the ``channel``, or only the ``purpose`` of the
        message. With ``purpose``, the page offers to end all marketing first.
    unsubscribe_secrets
        Secrets of unsubscribe links: the first one signs, and all are accepted. By default one is made in the data
        folder.
    suppression_secrets
        Secrets that hash the addresses of the suppression list: the first one makes new entries, and all find entries.
        By default one is made in the data folder. Keep old secrets: if the secret of an entry is missing, the entry
        cannot be found, and nothing is sent.
    """

    mode: Literal["outbox", "allowlist", "live"] = "outbox"
    outbox: str | None = None
    allowlist: list[str] = []
    smtp: SmtpSection | None = None
    twilio: TwilioSection | None = None
    push: PushSection | None = None
    webhooks: dict[EndpointName, WebhookSection] = {}
    breaker: BreakerSection = BreakerSection()
    rates: dict[Channel, RateSection] = {}
    costs: dict[Channel, CostSection] = {}
    unsubscribe_scope: Literal["channel", "purpose"] = "channel"
    unsubscribe_secrets: list[Secret] = []
    suppression_secrets: list[Secret] = []


class Sections(_Section, frozen=True, kw_only=True):
    """The sections of ``perennial.yaml`` that every process reads for itself.

    Attributes
    ----------
    version
        Version of the file's form.
    folder
        Data folder: logs, outbox, artifacts.
    kafka, http, worker, metrics, retrainer, delivery, outbound
        One section each.
    """

    version: Literal[1] = 1
    folder: Annotated[str, Meta(min_length=1)] = ".perennial"
    kafka: KafkaSection = KafkaSection()
    http: HttpSection = HttpSection()
    worker: WorkerSection = WorkerSection()
    metrics: MetricsSection = MetricsSection()
    retrainer: RetrainerSection = RetrainerSection()
    delivery: DeliverySection = DeliverySection()
    outbound: OutboundSection = OutboundSection()
