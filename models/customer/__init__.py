"""One user's state, its reducers and features, and the fold over their log."""
