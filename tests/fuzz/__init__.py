"""Fuzzing: what a stranger can send us, in forms that nobody thought of.

    targets     which there are
    path, token, notification, stream, admin
                one target each: `check(data)` feeds one input in, asserts what must hold, and says in a word what
                the input was; it needs no fuzzer, has no state between inputs, and sees no clock
    corpus/     inputs worth keeping, in a folder for each target: samples, and what was found
    dictionaries/
                words that the fuzzer puts into inputs
    keys, loop, json_text
                what they share: signing keys, an event loop, changes to JSON
    one         runs one target under atheris (libFuzzer)
    report      what a run printed, and the table of all
    __main__    `make fuzz`: the targets one after the other

docs/fuzzing.md says how to run it, and what to do with a finding.
"""
