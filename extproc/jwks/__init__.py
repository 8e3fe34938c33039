"""The issuer's keys by URL: fetched by us, never because of what a token says (RFC 8725, section 3.10).

fetch     one request: no redirects, bounded in time and size
refresh   when to ask, however many tokens name keys that are not known
keys      files and what was fetched, put together for the verifier
opening   all of it, as the settings have it
"""
