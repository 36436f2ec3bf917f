"""The base layer: errors, records, files, the registry, child processes and the machine; nothing heavy."""
