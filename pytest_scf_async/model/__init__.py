"""What SCF is: statuses and their one table of transitions, codes, configuration, payloads, records, trace, log lines.

Nothing here does I/O, starts a process or reads real time. Times are whole microseconds since the Unix epoch (UTC)
of simulated time.
"""
