"""Looking users up: answered over HTTP on loopback by the worker that owns them."""
