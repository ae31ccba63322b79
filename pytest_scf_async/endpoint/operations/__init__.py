"""The platform's operations beside those of async events: what they are given, and what they answer."""
