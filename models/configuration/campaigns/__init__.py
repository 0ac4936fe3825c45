"""Campaigns in the configuration: their written form, their compiled form, and the checks.

:mod:`models.engage.campaigns` has the rules by which a campaign is sent.
"""
