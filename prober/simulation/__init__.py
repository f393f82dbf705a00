"""The same rules in virtual time: invented outages, recorded history, and their dials."""
