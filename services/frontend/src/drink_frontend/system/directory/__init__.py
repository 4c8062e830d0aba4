"""Logins at an LDAP directory."""
