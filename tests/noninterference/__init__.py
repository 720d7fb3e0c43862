"""Noninterference: what a client sees does not depend on tagged values (F3).

    generator ──► text ──► analysis, policy ──► DuckDB over twins ──► masks ──► views ──► equal?
                                                                                  │ no
                                                                                shrink

Twins are databases that differ in tagged values only. Whatever a statement that may run shows of
one twin it shows of the other, but for what the rules declassify: equality with constants, joins
of the same tag, counts, and how often a raw value occurs. Twins of each kind keep some of these
alike (`twins`), and a statement meets only twins that keep alike what it uses (`declassified`), so
that a difference is a leak.

Rule at the door: a difference that the engine makes by itself, since the rows have no order, is
told apart by shuffling the rows and is counted, never hidden; so is what DuckDB cannot run.
"""
