"""A day at a large site, simulated: what the real router and the real store would do (docs/capacity.md).

workload.py     how much is asked of a site and of whom, with the published figures that it is made of
popularity.py   how requests spread over names: Zipf, and which few names stand for all
size.py         how large layers are
lag.py          when the secondary has what was pushed
repository.py   one name's tags and what they point to, at the primary and at the secondary
clock.py        virtual time, also for the scripts in Redis
rig.py          the router as a worker builds it, on a store of either kind
traffic.py      what clients and replication do to one name
day.py          a day: each name of the sample, weighted
books.py        what was counted
fill.py         a store that holds a day's evidence of all names: its memory
cost.py         CPU and commands of each kind of exchange on such a store
sizing.py       both together: cores, memory, network
result.py       what a run found, as JSON
table.py        the figures as text
charts.py       and as pictures
"""
