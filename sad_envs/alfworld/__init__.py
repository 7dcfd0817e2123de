"""ALFWorld (text): household tasks."""
