"""The command line. It reads the clock and the environment, and passes both on. Nothing imports it."""
