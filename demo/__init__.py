"""A simulated shop with a known truth: Postgres and a clickstream landing folder."""
