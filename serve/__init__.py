"""Answering over HTTP: an artifact behind Flask, for Gunicorn to run. No torch unless the artifact needs it."""
