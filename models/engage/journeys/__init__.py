"""Walk users through journeys: pure functions of a run, an instant, and what the user's state says.

:mod:`models.configuration.journeys` has the language, and :mod:`models.profile.runs` the stored state.
"""
