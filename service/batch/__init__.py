"""Archives of clips: every clip enrolled or identified once, whatever is interrupted in between."""
