"""Faults under load (design.md, section 8): one system, clients at work all the time, one fault after another.

ledger      every request of every client, in one list
load        the clients: pushes, pulls by tag and digest, blobs, deletes, some past this site
judge       what the promises say of one fault's part of the ledger
relay       a TCP relay that resets, drops, delays, or answers in the server's place
rig         the system, with a relay before Redis, the primary and the secondary
fault       one fault as data, and how it is run
*_faults    the table; report prints it
"""
