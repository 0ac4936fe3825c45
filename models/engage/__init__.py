"""When, where and what we message: rules, planner, consent, caps, quiet hours, templates."""
