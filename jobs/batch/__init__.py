"""Any number of texts through one model: read piece by piece, answered by many processes, written in order."""
