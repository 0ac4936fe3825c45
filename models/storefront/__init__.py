"""A simulated shop with known truth: seeded shoppers whose tastes, visits and departures are drawn from stated laws."""
