"""Requests of Kafka's newer transactions (KIP-890, ``transaction.version`` 2), which aiokafka 0.14 does not have.

A produce request of version 12 adds its partitions to the transaction. So the request ``AddPartitionsToTxn`` is not
needed. The end of a transaction gives the producer a new epoch. So a record of one transaction, however late it is,
cannot become a part of the next one. A cluster uses these transactions if its ``transaction.version`` is 2, which is
the default of new clusters since Kafka 4.0.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from aiokafka.protocol.admin import ApiVersionRequest_v0
from aiokafka.protocol.api import Request, RequestStruct, Response, ResponseHeader_v0
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactBytes,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

__all__ = ["DescribeTransaction", "EndTransaction", "Features", "ProduceInTransaction", "transaction_version"]

_TEXT = CompactString("utf-8")
_TAGS = ("tags", TaggedFields)
_FINALIZED = CompactArray(("name", _TEXT), ("max_level", Int16), ("min_level", Int16), _TAGS)
_FINALIZED_TAG = 2


class ProduceResponseV12(Response):  # type: ignore[misc]  # aiokafka's types are skipped
    """Error code of each partition."""

    API_KEY = 0
    API_VERSION = 12
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic", _TEXT),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("offset", Int64),
                        ("timestamp", Int64),
                        ("log_start_offset", Int64),
                        ("record_errors", CompactArray(("batch_index", Int32), ("message", _TEXT), _TAGS)),
                        ("error_message", _TEXT),
                        _TAGS,
                    ),
                ),
                _TAGS,
            ),
        ),
        ("throttle_time_ms", Int32),
        _TAGS,
    )


class ProduceRequestV12(RequestStruct):  # type: ignore[misc]
    """One batch of records for each partition."""

    API_KEY = 0
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = ProduceResponseV12
    SCHEMA = Schema(
        ("transactional_id", _TEXT),
        ("required_acks", Int16),
        ("timeout", Int32),
        (
            "topics",
            CompactArray(
                ("topic", _TEXT),
                ("partitions", CompactArray(("partition", Int32), ("records", CompactBytes), _TAGS)),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class ProduceInTransaction(Request[ProduceRequestV12]):  # type: ignore[misc]
    """Request to store batches, and to add their partitions to the transaction.

    Parameters
    ----------
    transactional_id
        The producer's transactional id.
    timeout_ms
        How long the leader may wait for its followers, milliseconds.
    topics
        For each topic its name, and for each of its partitions the number and the batch.
    """

    API_KEY = 0

    def __init__(
        self, transactional_id: str, timeout_ms: int, topics: list[tuple[str, list[tuple[int, bytes]]]]
    ) -> None:
        self._fields: tuple[Any, ...] = (
            transactional_id,
            -1,
            timeout_ms,
            [(topic, [(partition, batch, {}) for partition, batch in found], {}) for topic, found in topics],
            {},
        )

    def build(self, request_struct_class: type[ProduceRequestV12]) -> ProduceRequestV12:
        """Return the request in this version."""
        return request_struct_class(*self._fields)


class EndTxnResponseV5(Response):  # type: ignore[misc]
    """Error code, and the producer id and epoch of the next transaction."""

    API_KEY = 26
    API_VERSION = 5
    SCHEMA = Schema(
        ("throttle_time_ms", Int32), ("error_code", Int16), ("producer_id", Int64), ("producer_epoch", Int16), _TAGS
    )


class EndTxnRequestV5(RequestStruct):  # type: ignore[misc]
    """The end of a transaction, which gives the producer a new epoch."""

    API_KEY = 26
    API_VERSION = 5
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = EndTxnResponseV5
    SCHEMA = Schema(
        ("transactional_id", _TEXT), ("producer_id", Int64), ("producer_epoch", Int16), ("committed", Boolean), _TAGS
    )


class EndTransaction(Request[EndTxnRequestV5]):  # type: ignore[misc]
    """Request to commit or abort the producer's transaction.

    Parameters
    ----------
    transactional_id
        The producer's transactional id.
    producer_id, epoch
        The producer.
    commit
        Whether the transaction is committed; otherwise it is aborted.
    """

    API_KEY = 26

    def __init__(self, transactional_id: str, producer_id: int, epoch: int, *, commit: bool) -> None:
        self._fields: tuple[Any, ...] = (transactional_id, producer_id, epoch, commit, {})

    def build(self, request_struct_class: type[EndTxnRequestV5]) -> EndTxnRequestV5:
        """Return the request in this version."""
        return request_struct_class(*self._fields)


class DescribeTransactionsResponseV0(Response):  # type: ignore[misc]
    """State of each transactional id."""

    API_KEY = 65
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "states",
            CompactArray(
                ("error_code", Int16),
                ("transactional_id", _TEXT),
                ("state", _TEXT),
                ("timeout_ms", Int32),
                ("start_time_ms", Int64),
                ("producer_id", Int64),
                ("producer_epoch", Int16),
                ("topics", CompactArray(("topic", _TEXT), ("partitions", CompactArray(Int32)), _TAGS)),
                _TAGS,
            ),
        ),
        _TAGS,
    )


class DescribeTransactionsRequestV0(RequestStruct):  # type: ignore[misc]
    """Question for the state of transactional ids."""

    API_KEY = 65
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = DescribeTransactionsResponseV0
    SCHEMA = Schema(("transactional_ids", CompactArray(_TEXT)), _TAGS)


class DescribeTransaction(Request[DescribeTransactionsRequestV0]):  # type: ignore[misc]
    """Request for the state of one transactional id.

    Parameters
    ----------
    transactional_id
        The transactional id.
    """

    API_KEY = 65

    def __init__(self, transactional_id: str) -> None:
        self._id = transactional_id

    def build(self, request_struct_class: type[DescribeTransactionsRequestV0]) -> DescribeTransactionsRequestV0:
        """Return the request in this version."""
        return request_struct_class([self._id], {})


class ApiVersionsResponseV3(Response):  # type: ignore[misc]
    """Versions of all requests; the features of the cluster are among the tagged fields."""

    API_KEY = 18
    API_VERSION = 3
    SCHEMA = Schema(
        ("error_code", Int16),
        ("api_versions", CompactArray(("api_key", Int16), ("min_version", Int16), ("max_version", Int16), _TAGS)),
        ("throttle_time_ms", Int32),
        _TAGS,
    )


class ApiVersionsRequestV3(RequestStruct):  # type: ignore[misc]
    """Question for the versions of requests and for the features of the cluster."""

    API_KEY = 18
    API_VERSION = 3
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = ApiVersionsResponseV3
    SCHEMA = Schema(("client_software_name", _TEXT), ("client_software_version", _TEXT), _TAGS)

    def parse_response_header(self, read_buffer: BytesIO | bytes) -> ResponseHeader_v0:
        """Return the header. It is always that of the oldest version, so that every client can read the answer."""
        return ResponseHeader_v0.decode(read_buffer)


class Features(Request[ApiVersionRequest_v0 | ApiVersionsRequestV3]):  # type: ignore[misc]
    """Request for the features of the cluster; :func:`transaction_version` reads the answer."""

    API_KEY = 18

    def build(
        self, request_struct_class: type[ApiVersionRequest_v0 | ApiVersionsRequestV3]
    ) -> ApiVersionRequest_v0 | ApiVersionsRequestV3:
        """Return the request in this version; the oldest one has no fields, and its answer names no features."""
        if request_struct_class is ApiVersionsRequestV3:
            return request_struct_class("perennial", "1", {})
        return request_struct_class()


def transaction_version(answer: Any) -> int:
    """Return the cluster's ``transaction.version``, which is 0 if the broker names none."""
    tags = getattr(answer, "tags", {})
    features = _FINALIZED.decode(BytesIO(tags[_FINALIZED_TAG])) if _FINALIZED_TAG in tags else []
    return next((highest for name, highest, _, _ in features if name == "transaction.version"), 0)
