"""The demo: a simulated shop runs through every process, and every figure that is shown is counted from the topics."""
