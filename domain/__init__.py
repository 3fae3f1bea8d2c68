"""The business of a wealth-advisory firm: entities, rules and verbs, in pure Python."""
