"""Write ``schema_5.json`` again, after a field was added to a stored user of the unreleased schema.

The new field has to get a value below, for the users "with every field". Then run::

    python -m tests.support.stored_users
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode

import msgspec

from models.conditions.user_state import ClauseState, Memberships
from models.profile.codec import pack, unpack
from models.profile.ledger import IssuedRfm, Stage
from models.profile.state import Customer
from tests.support.event_logs import START
from tests.support.paths import ROOT

PATH = ROOT / "tests/unit/models/profile/schema_5.json"


def _fill(user: Customer) -> None:
    """Give a user the fields that schema 5 got after its first commit."""
    facts, ledger = user.facts, user.ledger
    facts.known_since, facts.conditions = START, 2
    facts.clauses = ClauseState(entries={7: b"\x01\x02"}, dues={7: START + 5}, weight=9)
    ledger.memberships, ledger.segment_since = Memberships({3: START + 1}), START + 2
    ledger.stage, ledger.rfm = Stage("loyal", START + 3), IssuedRfm(5, 3, 4, 17)
    ledger.features = {"gap_ratio": 0.25, "orders": 1.5}


def main() -> None:
    """Write the file."""
    stored = json.loads(PATH.read_text(encoding="utf-8"))
    for name, forms in stored.items():
        user = unpack(b64decode(forms["stored"]))
        user.compressed = None
        if name.endswith("with every field"):
            _fill(user)
        forms["stored"] = b64encode(pack(user)).decode()
        forms["plain"] = b64encode(msgspec.msgpack.encode([user.facts, user.ledger])).decode()
    PATH.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
