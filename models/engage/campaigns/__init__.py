"""The rules by which a campaign is sent: its order, when each user gets the message, and what counts as success.

:mod:`models.configuration.campaigns` has the form of a campaign. The fold walks the users of a partition
(:mod:`models.fold.campaign_walks`).
"""
