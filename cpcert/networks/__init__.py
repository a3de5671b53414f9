"""Networks that exist already: how good they are, proven, and how to make them narrower."""
