"""The command line: one file a command, and the only place that turns an error into an exit code."""
