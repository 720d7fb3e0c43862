"""What a statement is, what it touches, and what it would reveal.

Rule at the door: pure functions of a text, a namespace and a catalog; no socket, no clock, no
policy. Whatever is not understood is refused, and whatever is not known counts as tagged.

    analysis     the door: text ──► Statement
    parser       text ──► syntax tree
    walk         queries, sources, joins, expressions, predicates … over the tree
    catalog      tables, columns, tags, views
    session      several statements in order
"""
