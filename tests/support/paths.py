"""Folders that tests read: the root of the repository, and the real data next to it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
ONLINE_RETAIL = ROOT.parent / "shared/data/online_retail/online_retail.csv.gz"
"""The UCI data set Online Retail, if a copy is next to the repository."""
TRIVAGO = ROOT.parent / "shared/data/trivago/trivago_100k.csv.gz"
"""100,000 actions on trivago (RecSys Challenge 2019), if a copy is next to the repository."""
