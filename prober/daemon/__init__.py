"""The process itself: builds every part, recovers after a restart, keeps house."""
