"""The table of all metrics of all processes, each declared once with its meaning and its unit.

A metric has a short name (``events_folded``), which the code and ``Outputs.counts`` use. The exposed name follows from
it (``perennial_events_folded_total``). Units are Prometheus' base units: seconds, bytes, plain counts.

A metric that is not in :data:`DECLARED` does not exist. The functions of :mod:`monitoring.metrics` raise an error for
it, and a test fails if a dashboard or an alert names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

__all__ = ["DECLARED", "FAST", "PREFIX", "SIZES", "SLOW", "Declared"]

PREFIX = "perennial_"

FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds of buckets, in seconds, for times that are normally a few milliseconds."""
SLOW = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Upper bounds of buckets, in seconds, for times that are normally seconds or minutes."""
SIZES = (1.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 5_000.0, 10_000.0, 50_000.0)
"""Upper bounds of buckets for numbers of records in a batch."""


class Declared(NamedTuple):
    """One metric: its kind, meaning, unit and labels.

    Attributes
    ----------
    name
        Short name.
    kind
        A ``counter`` only grows, a ``gauge`` is the latest value, and a ``histogram`` counts values by size.
    meaning
        One sentence, with the unit. Prometheus and Grafana show it.
    labels
        Label names. Each label has few values, so it is never a user, a message or an item.
    buckets
        Upper bounds of a histogram's buckets.
    initial
        Label values that exist at 0 from the start. Without them, Prometheus' ``increase`` misses the first event of a
        counter, because the counter appears together with this event.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: Sequence[float] = FAST
    initial: Sequence[tuple[str, ...]] = ()

    @property
    def exposed(self) -> str:
        """Name under which Prometheus stores the metric."""
        return PREFIX + self.name + ("_total" if self.kind == "counter" else "")


DECLARED: tuple[Declared, ...] = (
    # Doors. The label `door` is `http` or `kafka` (the router of events.in).
    Declared("events_accepted", "counter", "Events that a door validated and Kafka acknowledged.", ("door",)),
    Declared(
        "events_rejected",
        "counter",
        "Events that were refused, by reason. Nearly all of them became dead letters.",
        ("reason",),
    ),
    Declared("event_warnings", "counter", "Details of accepted events that were ignored, by reason.", ("reason",)),
    Declared(
        "withdrawals_salvaged",
        "counter",
        "Withdrawals of consent that were applied although their event was refused, by the reason of the refusal.",
        ("reason",),
    ),
    Declared("http_requests", "counter", "Requests that the HTTP door answered.", ("path", "status")),
    Declared(
        "http_request_seconds", "histogram", "Time from a request's first byte to its answer, seconds.", ("path",)
    ),
    # The fold.
    Declared("events_folded", "counter", "Events applied to a user's state.", ("type",)),
    Declared(
        "events_duplicate", "counter", "Events ignored because the user's state has already seen their messageId."
    ),
    Declared(
        "orders_repeated",
        "counter",
        "Orders ignored because the user's state has already counted them, by content: same, different, updated since.",
        ("content",),
    ),
    Declared("events_late", "counter", "Folded events that came too late to be sorted by time."),
    Declared(
        "ids_forgotten",
        "counter",
        "Message ids forgotten before the horizon had passed, because a user sent more than are kept.",
    ),
    Declared(
        "identity_records",
        "counter",
        "Logins of anonymous visitors by outcome (merged, empty, newer_login, other_origin, known_to_known), events "
        "forwarded, repeats that were dropped (repeated), waiting messages that were not taken over (pending_dropped), "
        "messages that were withdrawn in delivery and decided again for the known user (message_handed_over), profiles "
        "that were split (split_stale: the record came too late), and records that a split has undone (passed_over).",
        ("outcome",),
    ),
    Declared("timers_fired", "counter", "Timers that fired, by name.", ("timer",)),
    Declared("signals", "counter", "Signals emitted, by kind (segment_entered, churn_risk ...).", ("kind",)),
    Declared("segment_moves", "counter", "Moves into segments by rule and out of them.", ("segment", "move")),
    Declared(
        "journey_moves",
        "counter",
        "Runs of journeys: entered, refused, converted, ended; moved to another version; held by a pause and released; "
        "and handed over with a visitor who logs in; with the outcome.",
        ("journey", "move", "outcome"),
    ),
    Declared("stage_moves", "counter", "Moves of users between stages of the lifecycle.", ("origin", "target")),
    Declared(
        "rounds_too_deep",
        "counter",
        "Steps in which marks have changed segments in too many rounds, so that nothing reacted to the last one.",
    ),
    Declared(
        "decisions",
        "counter",
        "Decisions on messages: sent, deferred or dropped, and the reason.",
        ("outcome", "reason"),
    ),
    Declared("messages", "counter", "Messages handed to delivery.", ("channel", "rule")),
    Declared(
        "template_fallbacks",
        "counter",
        "Messages whose template failed and whose fallback was sent instead, by rule.",
        ("rule",),
    ),
    Declared("interactions", "counter", "User-item interactions emitted for the retrainer."),
    Declared("examples_emitted", "counter", "Training examples emitted with their label.", ("model",)),
    Declared(
        "examples_ungraded",
        "counter",
        "Emitted training examples that were taken before the first version was in use.",
        ("model",),
    ),
    Declared("rfm_issued", "counter", "Times that scores of a buyer have changed: a score, or the version behind it."),
    Declared("users", "gauge", "Users held in memory, plus the few records of the lane itself.", ("partition",)),
    Declared(
        "version_in_use",
        "gauge",
        "Version in use, by name (configuration, churn ...); the lowest of all partitions.",
        ("name",),
    ),
    # Lanes. The label `topic` is the logical name of the topic that the lane reads.
    Declared(
        "transactions", "counter", "Transactions of a lane, by outcome: committed or aborted.", ("topic", "outcome")
    ),
    Declared(
        "commit_seconds",
        "histogram",
        "Time from the first output of a batch to the acknowledgement of its commit, seconds.",
        ("topic",),
    ),
    Declared("think_seconds", "histogram", "Time that an agent took for a batch, seconds.", ("topic",)),
    Declared("batch_records", "histogram", "Records committed in one transaction.", ("topic",), SIZES),
    Declared(
        "event_to_commit_seconds",
        "histogram",
        "Time from the broker's timestamp of a batch's oldest record to its commit, seconds.",
        ("topic",),
    ),
    Declared(
        "lane_lag_records",
        "gauge",
        "Records between the lane's position and the end of the partition (its high watermark).",
        ("topic", "partition"),
    ),
    Declared(
        "last_commit_timestamp_seconds",
        "gauge",
        "Time at which the lane last committed or found nothing to do, Unix time.",
        ("topic", "partition"),
    ),
    Declared("partitions_assigned", "gauge", "Partitions that this process owns.", ("topic",)),
    Declared(
        "restore_seconds",
        "histogram",
        "Time from a partition's assignment to its first read, seconds.",
        ("topic",),
        SLOW,
    ),
    Declared(
        "lane_failures", "counter", "Failures after which a lane was started again, by error class.", ("topic", "error")
    ),
    # Delivery.
    Declared(
        "deliveries",
        "counter",
        "Outcomes of deliveries: sent, rejected, expired, withdrawn, suppressed, unknown, resolved (after unknown) or "
        "duplicate.",
        ("channel", "status"),
        initial=[
            (channel, status)
            for channel in ("email", "sms", "push")
            for status in ("sent", "rejected", "expired", "suppressed", "unknown", "resolved")
        ],
    ),
    Declared(
        "bounces",
        "counter",
        "Refusals by class: hard (bad address), gone (address of a device that has ended), second (hard if repeated), "
        "stop (the recipient opted out), soft (temporary) or sender (caused by us).",
        ("channel", "class"),
        initial=[(channel, kind) for channel in ("email", "sms", "push") for kind in ("hard", "soft", "sender")],
    ),
    Declared(
        "bounce_storms",
        "gauge",
        "Domains with too many hard bounces, plus 1 if the whole channel has. Messages wait; no address is suppressed.",
        ("channel",),
    ),
    # The suppression list.
    Declared("suppressions", "gauge", "Entries of the suppression list that this process holds in memory."),
    Declared(
        "suppressions_written",
        "counter",
        "Entries that delivery or the HTTP door wrote to the suppression list.",
        ("channel", "reason"),
    ),
    Declared(
        "suppressions_unreadable",
        "counter",
        "Records of the suppression list that are not valid entries and were skipped.",
    ),
    Declared(
        "suppression_watch_failures",
        "counter",
        "Times that reading the suppression list failed and began again, by error class.",
        ("error",),
    ),
    Declared(
        "delivery_retries",
        "counter",
        "Attempts that the provider did not accept and that will be repeated.",
        ("channel",),
    ),
    Declared("deliveries_waiting", "gauge", "Messages that wait for their first or next attempt.", ("channel",)),
    Declared(
        "delivery_held",
        "gauge",
        "1 while a channel sends nothing for this reason and its messages wait, 0 afterwards.",
        ("channel", "reason"),
    ),
    Declared("provider_seconds", "histogram", "Duration of one call to a provider, seconds.", ("channel",), SLOW),
    Declared(
        "provider_breaker",
        "gauge",
        "Circuit breaker of the provider: 0 closed, 1 half open, 2 open (no calls are made).",
        ("channel",),
    ),
    Declared(
        "breaker_openings",
        "counter",
        "Times that a circuit breaker opened because its provider failed.",
        ("channel",),
        initial=[("email",), ("sms",), ("push",)],
    ),
    Declared(
        "rate_waits",
        "counter",
        "Times that messages of a partition began to wait because of the rate of the provider.",
        ("channel",),
        initial=[("email",), ("sms",), ("push",)],
    ),
    # Learners.
    Declared("examples_learned", "counter", "Examples that a learner has learned from.", ("model",)),
    Declared(
        "examples_outdated", "counter", "Examples that a learner has left out, because they were too old.", ("model",)
    ),
    Declared("learner_version", "gauge", "Newest version that the learner published.", ("model",)),
    Declared(
        "learner_publish_timestamp_seconds",
        "gauge",
        "Time at which the learner last published a version, Unix time.",
        ("model",),
    ),
    Declared("learner_log_loss", "gauge", "Log loss of the issued probabilities over a recent window.", ("model",)),
    Declared("learner_auc", "gauge", "AUC of the issued probabilities over a recent window, 0 to 1.", ("model",)),
    # Retrainer and recommender.
    Declared(
        "retrains",
        "counter",
        "Training runs by outcome: published, kept (the new model was not good enough) or failed.",
        ("outcome",),
        initial=[("published",), ("kept",), ("failed",)],
    ),
    Declared("retrain_seconds", "histogram", "Duration of one training run including validation, seconds.", (), SLOW),
    Declared("retrain_rows", "gauge", "Interactions in the window of the newest run."),
    Declared("retrain_recall", "gauge", "Recall@10 of the newest run on the held-out newest interactions, 0 to 1."),
    Declared("retrain_popularity_recall", "gauge", "Recall@10 of popularity on the same interactions, 0 to 1."),
    Declared("retrain_version", "gauge", "Newest version that the retrainer published."),
    Declared("retrain_timestamp_seconds", "gauge", "Time at which the newest run ended, Unix time."),
    Declared("recommendations", "counter", "Recommendations answered, by their source.", ("source",)),
    Declared("recommend_seconds", "histogram", "Time to compute the recommendations for one user, seconds."),
    Declared(
        "artifacts_refused", "counter", "Published recommenders that could not be used: damaged, missing or unreadable."
    ),
    Declared(
        "model_watch_failures",
        "counter",
        "Times that following the recommenders and the catalogue failed and began again, by error class.",
        ("error",),
    ),
    # Processes.
    Declared(
        "process_ends",
        "counter",
        "Ends of supervised processes that were not requested, by program and reason.",
        ("program", "why"),
    ),
    Declared("build_info", "gauge", "Always 1; the labels give the versions that run.", ("version", "python")),
)
