"""Reports, and the actions of people."""
