"""What people and alerts see."""
