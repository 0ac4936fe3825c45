"""Write ``schema_5.json`` again, after a field was added to a stored user of the unreleased schema.

The new field has to get a value below, for the users "with every field". Then run::

    python -m tests.support.stored_users
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode

import msgspec

from models.conditions.user_state import ClauseState, Memberships
from models.profile.campaign_marks import CampaignMark
from models.profile.codec import pack, unpack
from models.profile.conversions import CountedConversion
from models.profile.import_records import ImportedPast, ImportRecord, ReplacedConsent, ReplacedPast
from models.profile.ledger import IssuedRfm, Stage
from models.profile.links import IdentityConflict, IdentityLink, IdentityOwner, LinkSplit, ProfileIdentity
from models.profile.runs import Run, UserRuns
from models.profile.state import Customer, PendingGrant
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
    split, owner = LinkSplit("s1", START + 6, START + 7, 9, START + 5), IdentityOwner("u2", START + 8, "m8", "e8", 3, 2)
    user.identity = ProfileIdentity(
        links={"anonymous:a1": IdentityLink(START + 4, "m4", "e4", START + 5, "merged", 6, 2, 1, split, 5)},
        owner=owner,
        conflicts=[IdentityConflict("u3", START + 9, "known_to_known")],
        earlier=[IdentityOwner("u4", START + 1, "m1", "e1", 2)],
        splits={"u5": split},
        number=7,
        parts=2,
        acted=[11, 12],
    )
    facts.consent = {
        channel: msgspec.structs.replace(
            state,
            event=b"m1",
            event_type="identify",
            event_at=START + 7,
            confirmed=True,
            everything=START + 3,
            text="footer 2",
            basis="existing_customer",
            bought=START + 2,
        )
        for channel, state in facts.consent.items()
        if "@" not in channel
    }
    facts.pending = {"sms": PendingGrant(START + 4, 2, START + 3, True, "form", b"m2", "footer 3", b"12345678")}
    facts.consent["news@email"] = facts.consent["email"]
    facts.past = ImportedPast("r1", START - 9, START - 2, 3, {"EUR": 5_000_000}, START - 3)
    replaced = {"news@email": ReplacedConsent(b"m3", b"\x90")}
    facts.imports = [ImportRecord("r1", {"plan": "pro"}, replaced, ReplacedPast(None, START, START + 1, b"12345678"))]
    place = ("5e8a7a9a4ac5a2a4", "trial", "13284c7988bdc1f1", START, '"w1"', {"plan": "pro"}, (1,), START, START + 9)
    run = Run(*place, depth=2, settled=START + 4, held_since=START + 9)
    ledger.runs, ledger.marks = UserRuns((run,), {17: START}), {"onboarded": True}
    ledger.campaigns = [CampaignMark("8a1f0c52b7d3e964", "sent", START + 1, START + 2, 1)]
    converted = CountedConversion(
        "trial", True, run.id, True, "o1", START + 9, "EUR", 7, 9, "trial/hello", "email", True
    )
    ledger.conversions = (converted,)


def main() -> None:
    """Write the file."""
    stored = json.loads(PATH.read_text(encoding="utf-8"))
    for name, forms in stored.items():
        user = unpack(b64decode(forms["stored"]))
        user.compressed = None
        user.facts.consent = dict(user.facts.consent)  # decoded, so that it is stored with all of its fields
        if name.endswith("with every field"):
            _fill(user)
        forms["stored"] = b64encode(pack(user)).decode()
        parts = [user.facts, user.ledger, *([] if user.identity is None else [user.identity])]
        forms["plain"] = b64encode(msgspec.msgpack.encode(parts)).decode()
    PATH.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
