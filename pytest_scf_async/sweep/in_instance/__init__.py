"""What a sweep has in each of its instances."""
