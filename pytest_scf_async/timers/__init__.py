"""Timer triggers: the platform invokes a function by itself, at the simulated times that a Cron expression names."""
