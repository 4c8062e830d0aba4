"""`drink-web notify`: tells people of alarms by mail, webhooks and messengers."""
