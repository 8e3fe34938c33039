"""The story of the two sites, told on real parts: each step does something, checks what it saw, and prints both.

The map
    step.py      a step, what it expects, what it saw; playing them in order
    stage.py     what the steps act on: the running sandbox, clients of both users, images to push
    client.py    one user's HTTP client        skopeo.py   the client that people have
    login.py … strict.py                       the chapters, each a list of steps with its acts
    story.py     the chapters in their order
    table.py     rows and bars for people      record.py   the same as JSON lines
    run.py       all of it together
"""
