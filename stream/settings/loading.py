"""All settings of a process, each from a flag, the environment, ``perennial.yaml``, a record, or its default.

A flag wins over the environment, and the environment over the file. For a setting that none of them gives, the record
of the installation that runs in the data folder is used (``stream/settings/installation_record.py``).

The sections that travel in the log (rules, caps, ...) are kept here unread; ``stream/settings/rules.py`` reads them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from models import durations
from models.conditions import schema as conditions
from models.configuration import definition
from models.configuration.journeys.written_steps import STEP_FORMS
from models.encoding import TEXT
from models.errors import InvalidConfiguration
from models.places import zones
from models.reading import read
from models.spelling import did_you_mean
from stream.cluster.connection import Connection, SecurityProtocol
from stream.cluster.topics import EMBEDDED_PARTITIONS, PARTITIONS
from stream.settings import installation_record, sources
from stream.settings.fields import Secret
from stream.settings.schema import Sections, TlsSection
from stream.settings.sources import Given, InvalidSettings

FILE = "perennial.yaml"
MAX_SECRET = 65_536
"""Maximum number of characters that are read from the file of a secret."""
FORMS: tuple[type[msgspec.Struct], ...] = (Sections, definition.Definition)
"""Structs that together describe the file."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a process; made by :func:`load`.

    Attributes
    ----------
    sections
        The sections that every process reads for itself, typed.
    definition
        The sections that travel in the log, as they were written.
    file
        The settings file, if there is one.
    home
        Folder that relative paths start from: the file's folder, or the current one if there is no file.
    given
        The values that were given, and the place of each.
    flags
        The flags that were given, for a child process.
    note
        Why the record of an installation was not used; empty if there is nothing to say.
    """

    sections: Sections
    definition: Mapping[str, Any]
    file: Path | None
    home: Path
    given: Given
    flags: Mapping[str, Any]
    note: str = ""

    @property
    def timezone(self) -> str:
        """IANA name of the installation's time zone."""
        return str(self.definition.get("timezone", "UTC"))

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self.path(self.sections.folder)

    @property
    def artifacts(self) -> Path:
        """Folder of trained models."""
        written = self.sections.retrainer.artifacts
        return self.path(written) if written else self.folder / "artifacts"

    @property
    def outbox(self) -> Path:
        """Folder of messages that go to no provider."""
        written = self.sections.delivery.outbox
        return self.path(written) if written else self.folder / "outbox"

    @property
    def templates(self) -> Path:
        """Folder of templates, beside the file."""
        return self.home / "templates"

    @property
    def public_url(self) -> str:
        """Public URL of the HTTP door, without a slash at the end."""
        http = self.sections.http
        return (http.public_url or f"http://{http.host}:{http.port}").rstrip("/")

    @property
    def embedded(self) -> bool:
        """Whether the broker is the embedded one."""
        kafka = self.sections.kafka
        return kafka.servers is None if kafka.embedded is None else kafka.embedded

    @property
    def servers(self) -> str:
        """Kafka's servers as ``host:port``, several separated by commas."""
        return self.sections.kafka.servers or "127.0.0.1:9092"

    @property
    def session_timeout_s(self) -> float:
        """Seconds of silence after which a worker counts as dead."""
        written = self.sections.kafka.session_timeout
        if written is not None:
            return durations.milliseconds(written) / 1000
        return 6 if self.embedded else 10

    @property
    def stall_after_s(self) -> float:
        """Seconds that a process may do nothing while its input waits; then it ends."""
        return durations.milliseconds(self.sections.worker.stall_after) / 1000

    @property
    def partitions(self) -> int:
        """Number of the log's partitions."""
        return self.sections.kafka.partitions or (EMBEDDED_PARTITIONS if self.embedded else PARTITIONS)

    @property
    def replication_factor(self) -> int:
        """Copies of each partition of the topics that we create; -1 is the cluster's default."""
        return self.sections.kafka.replication_factor or (1 if self.embedded else -1)

    def path(self, written: str) -> Path:
        """Return the absolute path for a path of the settings."""
        return (self.home / expanded(written)).absolute()

    def connection(self) -> Connection:
        """Return the options with which all our Kafka clients connect; this reads the secrets.

        Raises
        ------
        InvalidSettings
            A secret cannot be read, or the options contradict each other.
        """
        kafka = self.sections.kafka
        sasl, tls = kafka.sasl, kafka.tls or TlsSection()
        protocols: dict[tuple[bool, bool], SecurityProtocol] = {
            (False, False): "PLAINTEXT",
            (True, False): "SSL",
            (False, True): "SASL_PLAINTEXT",
            (True, True): "SASL_SSL",
        }
        try:
            return Connection(
                servers=self.servers,
                prefix=kafka.prefix,
                transactions=not self.embedded,
                session_timeout_s=self.session_timeout_s,
                security_protocol=protocols[kafka.tls is not None, sasl is not None],
                sasl_mechanism=sasl.mechanism if sasl else None,
                username=sasl.username if sasl else None,
                password=self.reveal(sasl.password, "kafka.sasl.password") if sasl else None,
                ca_file=self.path(tls.ca_file) if tls.ca_file else None,
                certificate_file=self.path(tls.certificate_file) if tls.certificate_file else None,
                key_file=self.path(tls.key_file) if tls.key_file else None,
            )
        except InvalidSettings:
            raise
        except ValueError as error:
            raise InvalidSettings(self.given.origin("kafka"), "kafka", "this combination", str(error)) from error

    def reveal(self, secret: Secret, path: str) -> str:
        """Read a secret.

        Parameters
        ----------
        secret
            Place of the secret.
        path
            Path of the setting, for the error.

        Raises
        ------
        InvalidSettings
            The secret is not there, or is empty.
        """
        origin = self.given.origin(path)
        if secret.env is not None:
            value = os.environ.get(secret.env)
            if not value:
                raise InvalidSettings(origin, path, None, f"the environment variable {secret.env}, not empty")
            return value
        assert secret.file is not None
        file = self.path(secret.file)
        try:
            # reading a device or a pipe might never end
            if file.exists() and not file.is_file():
                raise OSError("it is not a regular file")
            with file.open(encoding=TEXT) as opened:
                value = opened.read(MAX_SECRET).rstrip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidSettings(origin, path, str(error), f"a text file at {file}") from error
        if not value:
            raise InvalidSettings(origin, path, None, f"something in {file}")
        return value

    def environment(self) -> dict[str, str]:
        """Return the variables that, with this process's environment, give a child process the same settings."""
        passed = {sources.environment_name(path): sources.environment_value(v) for path, v in self.flags.items()}
        if self.file is not None:
            passed["PERENNIAL_CONFIG"] = str(self.file.absolute())
        return passed


def expanded(written: str) -> Path:
    """Replace ``~`` or ``~user`` by the home folder; as in a shell, leave the name of an unknown user as it is.

    Examples
    --------
    >>> expanded("~there-is-no-such-user/data")
    PosixPath('~there-is-no-such-user/data')
    """
    return Path(os.path.expanduser(written))  # noqa: PTH111 - Path.expanduser raises for an unknown user


def load(
    file: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    *,
    record: bool = True,
) -> Settings:
    """Read all settings.

    Parameters
    ----------
    file
        The settings file. By default the one that ``PERENNIAL_CONFIG`` names, or ``perennial.yaml`` in the current
        folder if there is one.
    flags
        Path to value, such as ``{"http.port": 0}``; a flag of value ``None`` was not given.
    environment
        ``os.environ`` by default.
    record
        Whether to use the record of the installation that runs in the data folder for settings that are not given.

    Raises
    ------
    InvalidSettings
        A setting cannot be used. The message has its place, what was found and what is allowed.
    """
    variables = os.environ if environment is None else environment
    file = file or default_file(variables)
    home = Path.cwd() if file is None else file.absolute().parent
    wanted = _given_flags(flags or {})
    given = _read(file, variables, wanted)
    folder = given.values.get("folder", Sections().folder)
    note = ""
    if record and isinstance(folder, str):
        note = installation_record.lay_under(given, home / expanded(folder))
    carried = {name: value for name, value in given.values.items() if name in definition.SECTIONS}
    zone = carried.get("timezone", "UTC")
    sections = _sections(given)
    if not isinstance(zone, str) or zone not in zones.names():
        raise InvalidSettings(given.origin("timezone"), "timezone", zone, "an IANA zone, such as Europe/Berlin")
    return Settings(sections, carried, file, home, given, wanted, note)


def default_file(environment: Mapping[str, str] | None = None) -> Path | None:
    """Return the settings file that is used if none is named; ``None`` if there is none.

    Parameters
    ----------
    environment
        ``os.environ`` by default.
    """
    named = (os.environ if environment is None else environment).get("PERENNIAL_CONFIG")
    if named:
        return Path(named)
    return Path(FILE) if Path(FILE).exists() else None


def _given_flags(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flags that were given; a path in a flag is relative to the current folder, not to the file."""
    return {
        path: str(value.absolute()) if isinstance(value, Path) else value
        for path, value in flags.items()
        if value is not None
    }


def _read(file: Path | None, variables: Mapping[str, str], flags: Mapping[str, Any]) -> Given:
    """Combine the file, the environment and the flags; later ones win."""
    given = Given() if file is None else sources.read_file(file)
    # `kafka:` with only comments below it has no value
    given.values = {name: value for name, value in given.values.items() if value is not None}
    sources.add_environment(given, variables, FORMS)
    for path, value in flags.items():
        given.set(path, value, "a flag")
    return given


def _sections(given: Given) -> Sections:
    """Check the sections that do not travel in the log, and refuse unknown ones."""
    own = {name: value for name, value in given.values.items() if name not in definition.SECTIONS}
    for name in own:
        if name not in Sections.__struct_fields__:
            names = [*Sections.__struct_fields__, *definition.SECTIONS]
            hint = did_you_mean(name, names)
            raise InvalidSettings(given.origin(name), name, name, f"one of {', '.join(names)}{hint}")
    try:
        return read(own, Sections)
    except InvalidConfiguration as error:
        raise given.explain(error, secret=_is_secret(error.path)) from None


_SECRETS = (
    *("password", "auth_token", "unsubscribe_secrets", "suppression_secrets"),
    *("write_keys", "user_token_secrets", "server_tokens"),
)


def _is_secret(path: str) -> bool:
    return any(step.partition("[")[0] in _SECRETS for step in path.split("."))


def schema() -> dict[str, Any]:
    """Return the JSON Schema of ``perennial.yaml``, for editors."""
    _, components = msgspec.json.schema_components(FORMS, ref_template="#/$defs/{name}")
    components |= conditions.json_schema()["$defs"]
    steps, forms = msgspec.json.schema_components(list(STEP_FORMS.values()), ref_template="#/$defs/{name}")
    components |= {**forms, "JourneyStep": {"anyOf": list(steps)}}
    own = components.pop(Sections.__name__)
    carried = components.pop(definition.Definition.__name__)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "perennial.yaml",
        "type": "object",
        "properties": own["properties"] | carried["properties"],
        "required": ["version"],
        "additionalProperties": False,
        "$defs": components,
    }
