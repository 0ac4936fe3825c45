"""Folders that tests read: the repository's root, and the real data beside it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
ONLINE_RETAIL = ROOT.parent / "shared/data/online_retail/online_retail.csv.gz"
"""The UCI data set Online Retail, where a copy is beside the repository."""
