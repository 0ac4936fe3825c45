"""The retrainer: reads interactions, trains the recommender, publishes it. The one process that imports torch."""
