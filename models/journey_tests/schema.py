"""The JSON Schema of a test file of a journey, for editors."""

from __future__ import annotations

from typing import Any

import msgspec

from models.journey_tests.written import WrittenTest


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a test file.

    It knows the form of a file. Only ``perennial journeys test`` knows the names of the journeys, users and messages.
    """
    _, components = msgspec.json.schema_components([WrittenTest], ref_template="#/$defs/{name}")
    own = components.pop(WrittenTest.__name__)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", **own, "title": "journeys/NAME.test.yaml"}
    return {**head, "$defs": components}
