"""What coverage has in each of its instances."""
