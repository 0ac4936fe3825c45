"""The language of journeys: its written form, its compiled form, and the hash that identifies a version.

:mod:`models.configuration.journeys.parsing` turns the first into the second. ``models.engage.journeys`` runs it.
"""
