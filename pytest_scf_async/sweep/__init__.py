"""The shutdown sweep: interrupt a handler at every point where that can happen, and report what is lost."""
