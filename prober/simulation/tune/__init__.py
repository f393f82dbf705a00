"""Searching a route's dials: how soon outages are found, against how often it cries wolf."""
