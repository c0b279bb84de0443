"""The command line. Only the CLI and dags/ read the clock. Nothing imports it."""
