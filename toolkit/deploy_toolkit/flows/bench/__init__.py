"""Endpoints and artifacts under load: what is asked, where it goes, in which rounds, and what the figures say."""
