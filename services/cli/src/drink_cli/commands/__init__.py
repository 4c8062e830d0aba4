"""The commands of `drink`, grouped by what they act on."""
